"""What the dashboard's server tells programs: runs, open proposals, and a way to vote, for whoever holds a token."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import hexdag_lab as hx
from hexdag_lab.views import api
from tests.runtime.kit import until


@hx.node
def load() -> int:
    return 1


@hx.node
def hold(load: int) -> int:
    while not Path(GATE[0]).exists():
        time.sleep(0.02)
    return load


@hx.node
def extra(load: int) -> int:
    return load + 1


GATE = [""]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[hx.Lab]:
    GATE[0] = str(tmp_path / "gate")
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db", owner="dana", threads=2) as lab:
        yield lab
        Path(GATE[0]).touch()


@pytest.fixture
def run(lab: hx.Lab) -> hx.Run:
    lab.add_agent(hx.Agent("critic", trust=0.8))
    return lab.start(hx.Dag.of(load, hold))


class Door:
    """`hexdag-lab serve --json` in a process of its own, and a client for it."""

    def __init__(self, folder: Path, *agents: str) -> None:
        words = [word for agent in agents for word in ("--agent", agent)]
        command = [sys.executable, "-m", "hexdag_lab", "--store", f"sqlite:///{folder}/lab.db", "serve", "--json"]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.addresses = json.loads(self.process.stdout.readline())

    def client(self, agent: str) -> httpx.Client:
        base, _, token = self.addresses[agent].partition("/?token=")
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=40)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0


@pytest.fixture
def door(run: hx.Run, tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path, "dana", "critic")
    yield door
    door.close()  # it ends when its input does


def proposed(run: hx.Run) -> hx.ProposalHandle:
    change = hx.Changeset.on(run.dag).add_node(extra)
    return run.propose(change, by="critic", reason="<b>look</b>")


def test_it_tells_runs_and_what_waits_for_a_decision_and_takes_the_vote(run: hx.Run, door: Door) -> None:
    proposal = proposed(run)
    with door.client("dana") as dana:
        until(lambda: dana.get("/api/state").json()["inbox"])
        state = dana.get("/api/state").json()
        assert [(row["id"], row["status"], row["open"]) for row in state["runs"]] == [(run.id, "RUNNING", 1)]
        (card,) = state["inbox"]
        assert (card["id"], card["reason"], card["may_vote"]) == (proposal.id, "<b>look</b>", True)
        assert card["changes"] == ["+ extra after load"]
        assert card["deadline"] == proposal.deadline
        ballot = {"proposal": proposal.id, "choice": "approve", "reason": "fine", "seen": card["seen"]}
        assert dana.post("/api/vote", json=ballot).json()["state"] == "APPLIED"
    assert proposal.tally.ballots[0].via == "token"
    assert len(run.versions) == 2


def test_who_waits_for_news_gets_them_when_they_come(run: hx.Run, door: Door) -> None:
    with door.client("dana") as dana:
        until(lambda: dana.get("/api/state").json()["runs"][0]["status"] == "RUNNING")
        tag = dana.get("/api/state").json()["tag"]
        threading.Timer(0.3, proposed, (run,)).start()
        while not (news := dana.get("/api/state", params={"after": tag}).json())["inbox"]:
            tag = news["tag"]  # something else was new: a node had finished
    assert news["tag"] != tag


def test_the_proposer_may_look_and_not_vote(run: hx.Run, door: Door) -> None:
    proposal = proposed(run)
    with door.client("critic") as critic:
        until(lambda: critic.get("/api/state").json()["inbox"])
        assert critic.get("/api/state").json()["inbox"][0]["may_vote"] is False
        answer = critic.post("/api/vote", json={"proposal": proposal.id, "choice": "approve"})
    assert answer.status_code == 409
    assert "critic" in answer.json()["error"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": ""}])
def test_without_a_token_nothing_is_told(door: Door, headers: dict[str, str]) -> None:
    base = door.addresses["dana"].partition("/?token=")[0]
    for answer in (httpx.get(base + "/api/state", headers=headers), httpx.post(base + "/api/vote", headers=headers)):
        assert answer.status_code == 401
        assert "for whoever has a token" in answer.json()["error"]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"proposal": 1, "choice": "approve"}', '{"proposal": "run-1/p1"}'])
def test_what_is_no_ballot_is_told_how_one_looks(door: Door, body: str) -> None:
    with door.client("dana") as dana:
        answer = dana.post("/api/vote", content=body)
    assert answer.status_code == 400
    assert '"choice": "approve"' in answer.json()["fix"]


@pytest.mark.parametrize(
    ("ballot", "words"),
    [
        ({"proposal": "run-1/p9", "choice": "approve"}, "no proposal 'run-1/p9'"),
        ({"proposal": "p9", "choice": "approve"}, "is not the id of a proposal"),
        ({"proposal": "run-1/p1", "choice": "maybe"}, "maybe"),
    ],
)
def test_a_refusal_says_why(run: hx.Run, door: Door, ballot: dict[str, Any], words: str) -> None:
    proposed(run)
    with door.client("dana") as dana:
        until(lambda: dana.get("/api/state").json()["inbox"])
        answer = dana.post("/api/vote", json=ballot)
    assert answer.status_code == 409
    assert words in answer.json()["error"]


def test_the_same_state_has_the_same_tag_and_another_one_has_another() -> None:
    state = {"agent": "dana", "runs": [], "inbox": []}
    assert api.tag_of(state) == api.tag_of(dict(state))
    assert api.tag_of(state) != api.tag_of({**state, "agent": "lea"})
