"""What was tampered with in the store or among the blobs is refused and named, and nothing of it is run."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import stat
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import NotAllowed, Refused, RunFailed, SchemaError, StoreUnavailable
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.runtime import wire
from hexdag_lab.runtime.seal import Seal
from tests.runtime.kit import open_gate, pass_gate, until


class Deadly:
    """Reading this pickle leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def url(home: Path) -> str:
    home.mkdir()
    return f"sqlite:///{home}/lab.db"


def one() -> tuple[int, ...]:
    return (1, 2)


def large() -> bytes:
    return bytes(200_000)


def held(gate: str, **ups: Any) -> int:
    pass_gate(gate)
    return len(ups)


def size(**ups: Any) -> int:
    return sum(map(len, ups.values()))


def interrupted(url: str, gate: Path, first: hx.NodeSpec) -> None:
    """A run whose process has ended while `held` ran; `size` comes after it and reads the first node's result."""
    with hx.Lab(pool="inline", store=url) as lab:
        dag = hx.Dag.of(
            first, hx.NodeSpec("held", held, params={"gate": str(gate)}).after("first"),
            hx.NodeSpec("size", size).after("first", "held"),
        )  # fmt: skip
        run = lab.start(dag, run_id="run-1")
        until(lambda: run.nodes["held"].state == "RUNNING" and run.nodes["first"].kept)
    open_gate(gate)


def rewrite(home: Path, change: Any) -> int:
    """Change events in the journal; how many were changed."""
    changed = 0
    with sqlite3.connect(home / "lab.db") as db:
        (table,) = [
            row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%seq%' AND type = 'table'")
        ]
        for stream, seq, data in db.execute(f"SELECT stream, seq, data FROM {table}").fetchall():
            if stream == wire.journal("run-1"):
                event = loads(data)
                new = change(event)
                if new is not event:
                    db.execute(f"UPDATE {table} SET data = ? WHERE stream = ? AND seq = ?", (dumps(new), stream, seq))
                    changed += 1
    db.close()
    return changed


def test_a_pickle_that_was_put_into_the_journal_is_refused_and_named(url: str, home: Path, tmp_path: Path) -> None:
    interrupted(url, tmp_path / "gate", hx.NodeSpec("first", one))
    data = pickle.dumps(Deadly(tmp_path / "ran"))

    def forge(event: Any) -> Any:
        if event.kind != "NodeSucceeded" or event.node != "first":
            return event
        from dataclasses import replace

        return replace(
            event, result=event.result._replace(inline=data, sha256=sha256(data).hexdigest(), size=len(data))
        )

    assert rewrite(home, forge) == 1
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("run-1")
        with pytest.raises(RunFailed, match="NotAllowed: the result of first is a pickle without the lab's key"):
            run.wait(30)
        with pytest.raises(
            NotAllowed, match="the result of first is a pickle without the lab's key, so it is not read"
        ):
            run.result("first")
    assert not (tmp_path / "ran").exists()


def blob_files(home: Path) -> list[Path]:
    return [path for path in (home / "blobs").rglob("*") if path.is_file() and path.parent.name != "used-by"]


def test_a_result_that_was_changed_among_the_blobs_is_refused_and_named(url: str, home: Path, tmp_path: Path) -> None:
    interrupted(url, tmp_path / "gate", hx.NodeSpec("first", large, durable=True))
    (path,) = [path for path in blob_files(home) if path.stat().st_size > 200_000]
    path.write_bytes(pickle.dumps(Deadly(tmp_path / "ran")))
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("run-1")
        with pytest.raises(RunFailed, match=f"the result of first cannot be read: blob {path.name} .* is damaged"):
            run.wait(30)
        with pytest.raises(StoreUnavailable, match=f"blob {path.name} .* is damaged"):
            run.result("first")
    assert not (tmp_path / "ran").exists()


def test_code_that_was_changed_among_the_blobs_is_refused_and_named(url: str, home: Path, tmp_path: Path) -> None:
    interrupted(url, tmp_path / "gate", hx.NodeSpec("first", one))
    for path in blob_files(home):
        path.write_bytes(b"hexdag-code-1\n3.11\n" + pickle.dumps(Deadly(tmp_path / "ran")))
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("run-1")
        with pytest.raises(RunFailed, match=r"held: StoreUnavailable: blob [0-9a-f]{64} .* is damaged"):
            run.wait(30)
        assert run.nodes["size"].state == "BLOCKED"
        assert lab.start(hx.Dag.of(one)).wait(30) == {"one": (1, 2)}, "the lab goes on"
    assert not (tmp_path / "ran").exists()


def test_code_that_does_not_carry_the_labs_key_is_not_run(url: str, tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store=url) as lab:
        data = b"hexdag-code-1\n3.11\n" + pickle.dumps(Deadly(tmp_path / "ran"))
        digest = lab.shipping.accept(data)
        spec = hx.NodeSpec("alien", one).but(fn=None, code=hx.NodeSpec("alien", one).code, blob=f"{digest}.{'0' * 64}")
        with pytest.raises(
            RunFailed, match="alien: NotAllowed: this code does not carry the lab's key, so it is not run"
        ):
            lab.start(hx.Dag.of(spec)).wait(30)
    assert not (tmp_path / "ran").exists()


@pytest.mark.dask
def test_a_dask_worker_gets_nothing_that_does_not_carry_the_labs_key(url: str, home: Path, tmp_path: Path) -> None:
    interrupted(url, tmp_path / "gate", hx.NodeSpec("first", one))
    data = pickle.dumps(Deadly(tmp_path / "ran"))

    def forge(event: Any) -> Any:
        if event.kind != "NodeSucceeded":
            return event
        return replace(event, result=event.result._replace(inline=data, sha256=sha256(data).hexdigest(), mac=""))

    assert rewrite(home, forge)
    with (
        hx.Lab(pool="dask", store=url, workers=1) as lab,
        pytest.raises(RunFailed, match="NotAllowed: the result of first"),
    ):
        lab.attach("run-1").wait(30)
    assert not (tmp_path / "ran").exists()


# -- commands


def sent(lab: hx.Lab, row: bytes) -> None:
    lab._session.run(lab._store.commit(append={wire.INBOX: [row]}))


def test_a_command_without_the_labs_key_is_refused_and_its_sender_is_told(url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})))
        id_, row = wire.pack_command(run.id, ms.Pause(time.time(), lab.owner.id), Seal())
        sent(lab, row)
        answer = until(lambda: lab._session.run(lab._store.get(wire.reply_key(id_))))
        refused = wire.unpack_reply(answer.data)
        assert isinstance(refused, NotAllowed)
        assert "does not carry the lab's key, so it is not executed" in str(refused)
        assert run.status == "RUNNING"
        open_gate(gate)
        assert run.wait(30) == {"held": 0}


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"not json",
        b"[]",
        b'{"mac": 1}',
        json.dumps({"mac": "x", "body": "{}"}).encode(),
        json.dumps({"mac": "x", "body": "[[["}).encode(),
    ],
)
def test_rubbish_in_the_inbox_stops_nothing(url: str, tmp_path: Path, row: bytes) -> None:
    with hx.Lab(pool="inline", store=url) as lab:
        sent(lab, row)
        _, good = wire.pack_command("run-1", ms.Pause(time.time(), lab.owner.id), lab.shipping.key)
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(tmp_path / "gate")})), run_id="run-1")
        sent(lab, good)
        until(lambda: run.status == "PAUSED")
        run.resume()
        open_gate(tmp_path / "gate")
        run.wait(30)
    with hx.Lab(pool="inline", store=url) as lab:  # nor is it read again
        assert lab.doors._consumer.offset == 2


def test_a_command_whose_text_was_changed_is_refused() -> None:
    seal = Seal()
    id_, row = wire.pack_command("run-1", ms.Pause(1.0, "marie"), seal)
    outer = json.loads(row)
    changed = {**outer, "body": outer["body"].replace("marie", "boss")}
    command = wire.unpack_command(json.dumps(changed).encode(), seal)
    assert command.id == id_
    assert isinstance(command.message, NotAllowed)
    assert wire.unpack_command(row, seal).message == ms.Pause(1.0, "marie")


def test_only_commands_are_taken_from_the_inbox() -> None:
    seal = Seal()
    _, row = wire.pack_command("run-1", ms.Lost(1.0, "n", 1, "says who?"), seal)
    assert isinstance(wire.unpack_command(row, seal).message, Refused)


# -- the key


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_only_its_owner_can_ever_read_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("it could be read for a moment"))
    old = os.umask(0)
    try:
        Seal.of_file(tmp_path / "new" / "key")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["key"]


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_a_key_that_others_could_read_is_closed(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    Seal.of_file(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_key_is_the_same_whoever_makes_it_first(tmp_path: Path) -> None:
    barrier, macs = threading.Barrier(8), list[str]()

    def make() -> None:
        barrier.wait()
        macs.append(Seal.of_file(tmp_path / "key").mac("test", "text"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(macs) == 8
    assert len(set(macs)) == 1


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ä"])
def test_a_key_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(SchemaError, match=f"the lab's key in {tmp_path}/key .*move it away to get a new one"):
        Seal.of_file(tmp_path / "key")


def test_a_mac_holds_for_one_thing_in_one_domain_under_one_key() -> None:
    seal = Seal()
    mac = seal.mac("code", "text")
    assert seal.good(mac, "code", "text")
    assert not seal.good(mac, "value", "text")
    assert not seal.good(mac, "code", "other")
    assert not seal.good("ä", "code", "text")
    assert not Seal().good(mac, "code", "text")
