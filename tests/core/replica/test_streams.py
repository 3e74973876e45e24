"""Copies that talk over real streams of bytes: a socket between two processes that is cut, and a file."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.replica.replica import Replica
from hexdag_lab.core.replica.sync import Frames, Sync, framed
from hexdag_lab.core.replica.view import view


def step(**inputs: int) -> int:
    return len(inputs)


def spec(name: str, **params: int) -> NodeSpec:
    return NodeSpec(name, step, params=params)


def converse(replica: Replica, stream: socket.socket, until: Callable[[Replica], bool], piece: int = 7) -> Replica:
    """Speak and listen, in small pieces, until something holds and there is nothing more to say."""
    sync, frames = Sync(), Frames()
    stream.settimeout(60)
    while True:
        sync, data = sync.generate_message(replica)
        if data is None and until(replica):
            return replica
        try:
            stream.sendall(b"" if data is None else framed(data))
            received = stream.recv(piece)
        except ConnectionError:  # the line is cut
            return replica
        if not received:
            return replica
        for message in frames.feed(received):
            sync, replica = sync.receive_message(replica, message)


OTHER = """
    import socket, sys
    from hexdag_lab.core.replica.replica import Replica
    from tests.core.replica.test_streams import converse, spec

    replica = Replica("theirs").write({f"t{i}": spec(f"t{i}") for i in range(50)} | {"both": spec("both", k=2)}, "arun")
    for port in map(int, sys.argv[1:]):
        with socket.create_connection(("127.0.0.1", port)) as stream:
            replica = converse(replica, stream, lambda _: False)
        replica = replica.write({"between": spec("between", k=port)}, "arun")
"""


def test_two_processes_converge_over_sockets_also_when_one_is_cut_in_the_middle(tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text(textwrap.dedent(OTHER))
    mine = Replica("mine").write({f"m{i}": spec(f"m{i}") for i in range(50)} | {"both": spec("both", k=1)}, "dana")
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        for door in (first, second):
            door.settimeout(60)
        ports = [str(door.getsockname()[1]) for door in (first, second)]
        child = subprocess.Popen([sys.executable, script, *ports], cwd=Path(__file__).parents[3])
        stream, _ = first.accept()
        with stream:
            stream.recv(11)  # a message begins, and the line is cut
        stream, _ = second.accept()
        with stream:
            mine = converse(mine, stream, lambda replica: "between" in replica.slots)
        assert child.wait(30) == 0
    assert {f"t{i}" for i in range(50)} | {f"m{i}" for i in range(50)} | {"both", "between"} == set(view(mine).dag)
    assert {w.value.params["k"] for w in mine.slots["both"].writes} == {1, 2}
    assert list(view(mine).conflicts) == ["both"]


def test_two_copies_converge_by_files_that_are_carried_to_and_fro(tmp_path: Path) -> None:
    a, b = Replica("a").write({"x": spec("x")}), Replica("b").write({"y": spec("y")})
    at_a, at_b = Sync(), Sync()
    for trip in range(6):
        at_a, to_b = at_a.generate_message(a)
        at_b, to_a = at_b.generate_message(b)
        if to_a is to_b is None:
            break
        for name, message in (("to_a", to_a), ("to_b", to_b)):
            (tmp_path / f"{name}-{trip}").write_bytes(framed(message) if message is not None else b"")
        for message in Frames().feed((tmp_path / f"to_b-{trip}").read_bytes()):
            at_b, b = at_b.receive_message(b, message)
        for message in Frames().feed((tmp_path / f"to_a-{trip}").read_bytes()):
            at_a, a = at_a.receive_message(a, message)
    else:
        raise AssertionError("they never stop talking")
    assert view(a) == view(b)
    assert set(view(a).dag) == {"x", "y"}


def test_a_file_that_was_damaged_on_its_way_changes_nothing(tmp_path: Path) -> None:
    a = Replica("a").write({f"n{i}": spec(f"n{i}") for i in range(40)})
    _, data = Sync(Replica("b").seen).generate_message(a)
    assert data is not None
    damaged = data[:20] + b"\x00" + data[21:]
    b = Replica("b")
    with pytest.raises(SchemaError):
        Sync().receive_message(b, damaged)
    assert b == Replica("b")
