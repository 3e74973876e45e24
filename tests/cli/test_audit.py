"""`hexdag-lab audit`, `key` and `vote --key`: who approved what, whether it was written so, and keys from elsewhere."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime.keys import public_half
from tests.cli.conftest import Shell
from tests.runtime.kit import open_gate, pass_gate


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


def lab_in(home: Path) -> hx.Lab:
    return hx.Lab(pool="inline", store=f"sqlite:///{home}/.hexdag/lab.db", owner="dana", policy=hx.Supermajority(1))


def gated(home: Path) -> hx.Dag:
    return hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(home / "gate")}))


def spoil(home: Path) -> None:
    with closing(sqlite3.connect(home / ".hexdag" / "lab.db")) as db, db:
        db.execute("DELETE FROM log WHERE stream = 'run/ledger' AND seq = 2")


def test_who_approved_what_is_told_and_what_was_changed_is_found(shell: Shell) -> None:
    with lab_in(shell.home) as lab:
        for name in ("marie", "tom"):
            lab.add_agent(hx.HumanAgent(name))
        run = lab.start(gated(shell.home), run_id="ledger")
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda held: held)), by="tom")
        p.vote("marie", "approve", "\x1b[31mred")
        open_gate(shell.home / "gate")
        run.wait(30)
        key = run.agents["marie"].key
    text = shell("audit", "ledger", "--save", "head.json")
    assert "ledger/p1, +1 node: APPLIED as v2 by marie" in text
    assert f"signed {key[:12]}…" in text
    assert "nothing was changed" in text
    data = json.loads(shell("audit", "ledger", "--json", "--head", "head.json"))
    assert (data["findings"], data["chained_from"], data["head"]) == (
        [],
        1,
        json.loads(Path(shell.home / "head.json").read_text()),
    )
    assert [(v["who"], v["said"], v["via"]) for v in data["votes"]] == [
        ("tom", "proposed", ""), ("marie", "approve", "notebook")
    ]  # fmt: skip
    assert data["votes"][1]["key"] == key

    spoil(shell.home)
    text = shell("audit", "ledger", code=1)
    assert "row 2: it is missing" in text
    assert "1 finding" in text
    assert json.loads(shell("audit", "ledger", "--json", code=1))["findings"] == [{"seq": 2, "text": "it is missing"}]
    assert "is not saved" in shell("audit", "ledger", "--save", "other.json", code=2)
    assert not (shell.home / "other.json").exists()


def test_what_cannot_be_audited_ends_with_two(shell: Shell) -> None:
    assert "there is no lab in sqlite:///.hexdag/lab.db yet" in shell("audit", "ledger", code=2)
    with lab_in(shell.home):
        pass
    assert "there is no run 'ledger' in this store" in shell("audit", "ledger", code=2)
    (shell.home / "head.json").write_text("{}")
    assert "head.json: this is no head of a journal" in shell("audit", "ledger", "--head", "head.json", code=2)
    (shell.home / "not.db").write_text("a letter " * 1000)
    assert "hexdag-lab: " in shell("audit", "ledger", "--store", "sqlite:///not.db", code=2)


def test_an_agent_brings_its_own_key_and_votes_with_it(shell: Shell) -> None:
    public = shell("key", "mine/critic.key").strip()
    path = shell.home / "mine" / "critic.key"
    assert public == public_half(bytes.fromhex(path.read_text())) == shell("key", "mine/critic.key").strip()
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with lab_in(shell.home) as lab:
        lab.add_agent(hx.Agent("critic", public_key=public))
        run = lab.start(gated(shell.home), run_id="ledger")
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda held: held)))
        vote = ("vote", p.id, "approve", "--by", "critic")
        assert "critic has a key in this run, and this is not signed with it" in shell(*vote, code=2)
        assert "nope.key cannot be read" in shell(*vote, "--key", "nope.key", code=2)
        assert p.state == "OPEN"
        assert shell(*vote, "--key", "mine/critic.key").startswith("ledger/p1: APPLIED, ")
        open_gate(shell.home / "gate")
        run.wait(30)
    assert f"signed {public[:12]}…" in shell("audit", "ledger")


@pytest.mark.parametrize("text", ["", "ab" * 31, "rubbish"])
def test_a_file_that_holds_no_key_is_named(shell: Shell, text: str) -> None:
    (shell.home / "my.key").write_text(text)
    assert "the key in my.key" in shell("key", "my.key", code=2)
