"""`lab.notify`: people are told by a webhook, and a run neither waits for it nor fails by it."""

from __future__ import annotations

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import report, until
from tests.runtime.hook_server import hooks


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEXDAG_TEST_HOOK", "s3cret")


def proposed(lab: hx.Lab, run: hx.Run) -> hx.ProposalHandle:
    lab.add_agent(hx.Agent("writer", role="executor"))
    return run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="writer", reason="it is asked for")


def test_the_owner_is_told_once_that_she_is_needed(lab: hx.Lab, running: hx.Run) -> None:
    with hooks() as server:
        hook = hx.Webhook(server.url, "HEXDAG_TEST_HOOK")
        notifier = lab.notify(hook)
        assert lab.notify(hx.Webhook(server.url, "HEXDAG_TEST_HOOK")) is notifier  # a cell that is run again
        p = proposed(lab, running)
        until(lambda: notifier.sent)
        assert [(said["person"], said["proposal"], said["type"]) for said in server.told] == [("dana", p.id, "needed")]


def test_a_run_goes_on_and_ends_while_the_webhook_hangs(lab: hx.Lab, running: hx.Run) -> None:
    with hooks(lambda number: 60.0) as server:
        notifier = lab.notify(hx.Webhook(server.url, "HEXDAG_TEST_HOOK", seconds=30))
        p = proposed(lab, running)
        until(lambda: server.came)
        p.vote("dana", "reject")
        gates.open_gate("held")
        assert running.wait(10)["held"]
        lab.close()
        assert notifier.sent == 0


def test_her_silence_counts_as_she_has_said(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    lab.add_agent(hx.HumanAgent("marie", otherwise="reject", remind=20))
    run = lab.start(slow_dag, policy=hx.Majority() & hx.Deadline(seconds=0.2))
    p = proposed(lab, run)
    assert p.wait(10) == "REJECTED"
    assert [(ballot.voter, ballot.choice, ballot.via) for ballot in p.tally.ballots] == [("marie", "reject", "default")]
    gates.open_gate("held")
    run.wait(10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"otherwise": "approve"}, "silence is no yes"),
        ({"otherwise": "perhaps"}, "one of abstain, reject or None"),
        ({"remind": -1}, "0 or more"),
        ({"remind": float("nan")}, "0 or more"),
    ],
)
def test_a_person_whose_silence_cannot_count_like_that_says_why(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hx.HumanAgent("marie", **options)  # type: ignore[arg-type]
