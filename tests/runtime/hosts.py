"""Hosts for processes of a test: network namespaces on a bridge, whose links can be cut. Linux, and root only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest


class Host:
    """A namespace: `command` runs something in it; cut off, what it sends is lost and nobody tells it so."""

    def __init__(self, name: str, address: str, bridge: str) -> None:
        self.name, self._bridge, self._port = name, bridge, f"{name}v"
        self.address = address.partition("/")[0]
        _ip("netns", "add", name)
        _ip("link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", name, "addr", "add", address, "dev", "eth0")
        for link in ("eth0", "lo"):
            _ip("-n", name, "link", "set", link, "up")
        _ip("link", "set", self._port, "up")
        self.cut(False)

    @property
    def command(self) -> list[str]:
        """What stands before a command that is to run here."""
        return ["ip", "netns", "exec", self.name]

    def cut(self, off: bool = True) -> None:
        """Take its cable out of the bridge, or put it back."""
        _ip("link", "set", self._port, *(("nomaster",) if off else ("master", self._bridge)))

    def remove(self) -> None:
        _ip("link", "del", self._port)  # not left to the namespace, which a dying connection may keep for a while
        _ip("netns", "del", self.name)


@contextmanager
def network(count: int) -> Iterator[tuple[str, list[Host]]]:
    """The address of this process on a bridge of its own, and some hosts on it; skips the test without root."""
    if not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip("network namespaces take root, and `ip` of iproute2")
    number = os.getpid() % 250
    bridge, net = f"hx{number}br", f"10.231.{number}"
    with ExitStack() as undo:
        try:
            _ip("link", "add", bridge, "type", "bridge")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no bridge can be made here: {error.stderr.decode().strip()}")
        undo.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        hosts = []
        for i in range(count):
            hosts.append(Host(f"hx{number}h{i}", f"{net}.{i + 2}/24", bridge))
            undo.callback(hosts[-1].remove)
        yield f"{net}.1", hosts


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
