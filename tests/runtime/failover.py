"""A drill: a lab that a service leads, a standby, a run of 24 nodes in 4 layers that is edited meanwhile, and a leader
that is killed or frozen in the middle of it. All are real processes; the test's own is the client."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hexdag_lab as hx
from hexdag_lab.lab.audit import audit
from tests import servers
from tests.runtime.hosts import Host
from tests.runtime.kit import until

LAYERS, WIDTH = 4, 6
EDITS = 10  #: that are acknowledged before each fault, and go on during it
LEADS = ": leads"  #: what a process says once it leads
STANDS_BY = ": stands by"
TTL = 2.0  #: seconds that a silent leader's lease lasts here


class Process:
    """`hexdag-lab up` or `standby` in a folder, on a host of its own if there is one; what it says goes to a file."""

    def __init__(self, folder: Path, number: int, how: str, words: Sequence[str], host: Host | None) -> None:
        self.how, self.log, self.host = how, folder / f"{how}{number}.log", host
        command = [*(host.command if host else ()), sys.executable, "-m", "hexdag_lab", how, *words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said something."""
        until(lambda: text in self.said or self._ended(), f"{text!r} in {self.log}")
        assert text in self.said, self.said

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def freeze(self, frozen: bool = True) -> None:
        self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def cut(self, off: bool = True) -> None:
        assert self.host is not None
        self.host.cut(off)

    def kill(self) -> None:
        """kill -9; nothing happens if it has ended."""
        self.process.kill()
        self.process.wait()


@contextmanager
def served(folder: Path, store: str, words: Sequence[str], hosts: Sequence[Host]) -> Iterator[Callable[[str], Process]]:
    """Starts `up` and `standby`, as often as it is asked to, each on the next of the hosts, and ends them all."""
    started: list[Process] = []

    def start(how: str) -> Process:
        more = ("--store", store, "--ttl", f"{TTL:g}", *words)
        host = hosts[len(started)] if hosts else None
        started.append(Process(folder, len(started), how, more, host))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()


def work(witness: str, name: str, gate: str = "", **ups: Any) -> str:
    """What each node does: it leaves a line that no journal knows of, and waits for its gate if it has one."""
    import os
    import time

    handle = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{name}\n".encode())
    os.close(handle)
    while gate and not os.path.exists(gate):  # noqa: PTH110
        time.sleep(0.01)
    return name


def node(folder: Path, name: str, *ups: str, gate: str = "") -> hx.NodeSpec:
    params = {"witness": str(folder / "witness"), "name": name, "gate": gate}
    return hx.NodeSpec(name, work, params=params).after(*ups)


def layered(folder: Path, gates: int) -> hx.Dag:
    """24 nodes in 4 layers, each with two of the layer before; those of the first `gates` layers below the top wait."""
    nodes = [node(folder, f"n0-{k}") for k in range(WIDTH)]
    for layer in range(1, LAYERS):
        above = [f"n{layer - 1}-{k}" for k in range(WIDTH)]
        gate = str(folder / f"gate{layer}") if layer <= gates else ""
        nodes += [node(folder, f"n{layer}-{k}", above[k], above[(k + 1) % WIDTH], gate=gate) for k in range(WIDTH)]
    return hx.Dag.of(*nodes)


class Editor:
    """Proposes one more node again and again, while a run goes on; each is applied before it is acknowledged."""

    def __init__(self, run: hx.Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        self.acknowledged: list[str] = []
        self.unsure: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._edit, daemon=True)

    def __enter__(self) -> Editor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _edit(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"edit-{number}"
            try:
                change = hx.Changeset.on(self.run.dag).add_node(node(self.folder, name, f"n0-{number % WIDTH}"))
                proposal = self.run.propose(change)
                (self.acknowledged if proposal.state == "APPLIED" else self.unsure).append(name)
            except hx.AlreadyDecided:  # the run is over
                return
            except (hx.HexdagError, TimeoutError):
                self.unsure.append(name)
            self._stop.wait(0.02)


class Found(NamedTuple):
    """What a drill has shown. `seconds`: from each fault to the first thing that the next leader did."""

    seconds: tuple[float, ...]
    results: int
    doubled: int
    executions: int
    edits: int
    lost: int
    findings: tuple[Any, ...]
    versions: tuple[int, ...]


def drill(
    folder: Path, store: str, fault: str, times: int = 1, words: Sequence[str] = ("--pool", "inline"),
    server: Any = None, hosts: Sequence[Host] = (),
) -> Found:  # fmt: skip
    """Kill or freeze the leader in the middle of a run, cut it off, or kill the store's `server`: what becomes of it.

    The client's folder has to be the current one: the lab's key is there."""
    witness = folder / "witness"
    with served(folder, store, words, hosts) as start:
        leader = start("up")
        leader.says(LEADS)
        waiting = [start("standby") for _ in range(times if server is None else 0)]
        for standby in waiting:
            standby.says(STANDS_BY)
        with hx.Lab(store=store, leader=False, owner="dana") as lab:
            run = lab.start(layered(folder, gates=times), run_id="drill")
            seconds = []
            with Editor(run, folder) as editor:
                for layer in range(1, times + 1):
                    until(lambda layer=layer: "RUNNING" in _states(run, layer))  # type: ignore[misc]
                    until(lambda layer=layer: len(editor.acknowledged) >= EDITS * layer)  # type: ignore[misc]
                    if server is not None:
                        seconds.append(_restarted(server, run, folder / f"gate{layer}"))
                        continue
                    seconds.append(_struck(leader, run, fault))
                    (folder / f"gate{layer}").touch()
                    if fault != "killed":
                        _wakes(leader, fault)
                    leader = until(lambda: next((one for one in waiting if LEADS in one.said), None))
                    waiting.remove(leader)
                until(lambda: _states(run, LAYERS - 1) == {"SUCCEEDED"})
            results = run.wait(60)
            edits = list(editor.acknowledged)
        report = audit(store, "drill")
    ran = witness.read_text().splitlines()
    counts = Counter(event.node for event in run.events() if event.kind == "NodeSucceeded")
    versions = tuple(version.number for version in run.versions)
    return Found(
        tuple(seconds), sum(name.startswith("n") for name in results), sum(count > 1 for count in counts.values()),
        len(ran),
        len(edits), len(set(edits) - set(results)), tuple(report.findings), versions,
    )  # fmt: skip


def _states(run: hx.Run, layer: int) -> set[str]:
    return {str(found.state) for name, found in run.nodes.items() if name.startswith(f"n{layer}-")}


def _struck(leader: Process, run: hx.Run, fault: str) -> float:
    """Seconds until another process goes on with the run."""
    before = len(run.events())
    began = time.monotonic()
    {"killed": leader.kill, "frozen": leader.freeze, "cut off": leader.cut}[fault]()
    until(lambda: any(event.kind == "RunAttached" for event in run.events(before)), "another leader goes on")
    return time.monotonic() - began


def _restarted(server: Any, run: hx.Run, gate: Path) -> float:
    """Seconds until something is journaled again after the server was killed, and started on what it left; results come
    meanwhile."""
    server.kill()
    before, began = len(run.events()), time.monotonic()
    gate.touch()
    server.start()
    until(lambda: len(run.events()) > before, "the run goes on")
    return time.monotonic() - began


def _wakes(old: Process, fault: str) -> None:
    """A leader that was away finds that it leads no more, and says so: `up` ends then, `standby` stands by again."""
    {"frozen": old.freeze, "cut off": old.cut}[fault](False)
    old.says("another process leads this lab now; this one was away too long and has stepped down")
    if old.how == "up":
        assert old.process.wait(30) == 2
    else:
        until(lambda: old.said.count(STANDS_BY) == 2)


class Restartable:
    """One server; of etcd's members the one that leads when it is killed."""

    def __init__(self, server: Any) -> None:
        self._server, self._victim = server, server

    def kill(self) -> None:
        self._victim = self._server.leader() if hasattr(self._server, "leader") else self._server
        self._victim.kill()

    def start(self) -> None:
        self._victim.start()


@contextmanager
def server_of(name: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """The URL of a store of a kind, and its server, if it has one."""
    if name == "sqlite":
        yield f"sqlite:///{folder}/lab.db", None
        return
    aside = folder / "server"
    server: Any = servers.Etcd(aside, 3).start() if name == "etcd" else servers.started(name, aside)
    try:
        yield server.url, server
    finally:
        server.kill()
