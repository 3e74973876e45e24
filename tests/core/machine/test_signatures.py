"""Signed ballots and proposals in the core: which count, and by which rule the others are refused.

The signature itself is the door's business (tests/runtime/test_keys.py); here the text under it is what differs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hexdag_lab.core.base.errors import NotAllowed, Refused
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.signatures import claims, origin
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.signed import Proof, canonical_text
from hexdag_lab.core.votes.weighing import Unanimous
from tests.core.machine.diary import Diary, spec

KEYS = {name: name[0] * 64 for name in ("ada", "bob", "cy", "eve")}


def keyed(**start: Any) -> Diary:
    """A run whose four voters have keys, bob and cy have to agree, and `a` waits to be submitted."""
    diary = Diary("a", Unanimous(), **start)
    roles = {"eve": Role.EXECUTOR}
    diary.start(slots=0, seats=tuple(Seat(n, roles.get(n, Role.ORCHESTRATOR), key=KEYS[n]) for n in KEYS))
    return diary


def signed(diary: Diary, m: Any, counter: int = 1, expires: int = 100, key: str = "", **other: Any) -> Any:
    """A message with the proof that its agent would give, but for other fields in the text; None leaves one out."""
    fields = {**claims(diary.state, m), "counter": counter, "expires": expires, **other.get("edits", {})}
    text = canonical_text({name: value for name, value in fields.items() if value is not None})
    return replace(m, proof=Proof(text, "5" * 128, key or KEYS[m.by]))


def proposal(diary: Diary, id_: str = "r/p1", by: str = "ada", node: str = "more", **said: Any) -> Any:
    change = diary.change().add_node(spec(node))
    return signed(diary, ms.Propose(diary.now, id_, change, by, "I like it", 3), **said)


def ballot(diary: Diary, by: str = "bob", choice: Choice = Choice.APPROVE, id_: str = "r/p1", **said: Any) -> Any:
    return signed(diary, ms.CastBallot(diary.now, id_, by, choice, "so be it", "key"), **said)


def edited(said: dict[str, Any]) -> dict[str, Any]:
    return {"key": said["key"]} if "key" in said else {"edits": said}


@pytest.fixture
def diary() -> Diary:
    """With the open proposal r/p1 of ada."""
    made = keyed()
    assert made.send(proposal(made)) == "r/p1"
    return made


def rule(answer: Any) -> str:
    assert isinstance(answer, NotAllowed), answer
    assert answer.message
    assert answer.fix
    return answer.rule


def test_a_signed_proposal_is_applied_by_signed_ballots(diary: Diary) -> None:
    assert diary.send(ballot(diary)) is True
    assert diary.send(ballot(diary, "cy")) is True
    assert diary.send(ballot(diary, "eve")) != "r/p1"
    done = diary.state.proposals["r/p1"]
    assert done.state == "APPLIED"
    assert done.proof is not None
    assert [b.proof and b.proof.key for b in done.ballots] == [KEYS["bob"], KEYS["cy"]]


def test_a_message_without_a_signature_is_refused_where_the_seat_has_a_key(diary: Diary) -> None:
    assert rule(diary.send(replace(ballot(diary), proof=None))) == "unsigned"
    assert rule(diary.send(replace(proposal(diary, "r/p2", counter=2), proof=None))) == "unsigned"
    assert list(diary.state.proposals) == ["r/p1"]


def test_a_seat_without_a_key_needs_no_signature_and_takes_none() -> None:
    diary = Diary("a")
    diary.start(slots=0)
    message = ms.Propose(diary.now, "r/p1", diary.change().add_node(spec("more")), "ada")
    assert rule(diary.send(signed(diary, message, key="a" * 64))) == "unknown-key"
    assert diary.send(message) == "r/p1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"key": "f" * 64}, "unknown-key"),
        ({"type": "hexdag-lab proposal 1"}, "signed-elsewhere"),
        ({"run": "other"}, "signed-elsewhere"),
        ({"origin": "0" * 64}, "signed-elsewhere"),
        ({"proposal": "r/p2"}, "signed-elsewhere"),
        ({"agent": "cy"}, "signed-by-another"),
        ({"role": "executor"}, "signed-role"),
        ({"role": "observer"}, "signed-role"),
        ({"digest": "0" * 64}, "signed-other-text"),
        ({"choice": "reject"}, "signed-edited"),
        ({"reason": "for money"}, "signed-edited"),
        ({"via": "token"}, "signed-edited"),
        ({"reason": None}, "signed-edited"),
        ({"weight": 7}, "signed-edited"),
        ({"counter": 0}, "replayed"),
        ({"counter": None}, "replayed"),
        ({"counter": "9"}, "replayed"),
        ({"expires": 0}, "signature-expired"),
        ({"expires": None}, "signature-expired"),
    ],
    ids=str,
)
def test_a_ballot_that_says_something_else_than_was_signed_is_refused(diary: Diary, said: Any, why: str) -> None:
    assert rule(diary.send(ballot(diary, **edited(said)))) == why
    assert diary.state.proposals["r/p1"].ballots == ()
    assert diary.send(ballot(diary)) is True, "and its voter may still vote"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"key": "f" * 64}, "unknown-key"),
        ({"type": "hexdag-lab ballot 1"}, "signed-elsewhere"),
        ({"run": "other"}, "signed-elsewhere"),
        ({"proposal": "r/p9"}, "signed-elsewhere"),
        ({"agent": "bob"}, "signed-by-another"),
        ({"role": "executor"}, "signed-role"),
        ({"digest": "0" * 64}, "signed-other-text"),
        ({"base": "0" * 64}, "signed-edited"),
        ({"reason": ""}, "signed-edited"),
        ({"priority": 100}, "signed-edited"),
        ({"apply_from": "wave"}, "signed-edited"),
        ({"counter": 1}, "replayed"),
        ({"expires": 0}, "signature-expired"),
    ],
    ids=str,
)
def test_a_proposal_that_says_something_else_than_was_signed_is_refused(diary: Diary, said: Any, why: str) -> None:
    assert rule(diary.send(proposal(diary, "r/p2", node="extra", counter=2, **edited(said)))) == why
    assert list(diary.state.proposals) == ["r/p1"]


def test_a_ballot_counts_once(diary: Diary) -> None:
    once = ballot(diary)
    assert diary.send(once) is True
    assert rule(diary.send(once)) == "replayed"


def test_an_older_ballot_does_not_undo_a_newer_one(diary: Diary) -> None:
    older, newer = ballot(diary, counter=1), ballot(diary, choice=Choice.ABSTAIN, counter=2)
    assert diary.send(older) is True
    assert diary.send(newer) is True
    assert rule(diary.send(older)) == "replayed"
    assert diary.state.proposals["r/p1"].cast()["bob"].choice is Choice.ABSTAIN


def test_a_ballot_that_was_overtaken_on_its_way_does_not_count(diary: Diary) -> None:
    older, newer = ballot(diary, counter=1), ballot(diary, choice=Choice.ABSTAIN, counter=2)
    assert diary.send(newer) is True
    assert rule(diary.send(older)) == "replayed"


def test_a_ballot_is_for_one_proposal(diary: Diary) -> None:
    assert diary.send(proposal(diary, "r/p2", node="extra", counter=2)) == "r/p2"
    other = replace(ballot(diary), proposal="r/p2")
    assert rule(diary.send(other)) == "signed-elsewhere"


def test_a_ballot_is_for_one_run_even_if_another_has_its_name(diary: Diary) -> None:
    later = Diary("a", Unanimous())
    later.now = 5.0
    later.start(slots=0, seats=tuple(Seat(n, key=KEYS[n]) for n in KEYS))
    assert later.send(proposal(later)) == "r/p1"
    assert origin(later.state) != origin(diary.state)
    assert rule(later.send(ballot(diary))) == "signed-elsewhere"


def test_a_ballot_expires_by_the_time_of_the_run_not_by_its_own(diary: Diary) -> None:
    early = ballot(diary, expires=10)
    diary.now = 10.0
    diary.pool(0, 1)  # whatever happened at that time
    assert rule(diary.send(early)) == "signature-expired"


def test_a_ballot_on_a_proposal_that_was_revised_since_is_for_another_text() -> None:
    diary = Diary("a>b", Unanimous())
    diary.start(slots=1, seats=tuple(Seat(n, key=KEYS[n]) for n in KEYS))
    change = diary.change().replace_node("a", spec("a", "other"), running="restart", finished="rerun")
    assert diary.send(signed(diary, ms.Propose(0.0, "r/p1", change, "ada"))) == "r/p1"
    stale = {who: ballot(diary, who, counter=7) for who in ("bob", "cy", "eve")}
    for who in ("bob", "cy"):
        diary.send(ballot(diary, who))
    diary.begins("a")
    diary.send(ballot(diary, "eve"))
    assert diary.state.proposals["r/p1"].ballots == (), "it would throw away work by now: voted on anew"
    for late in stale.values():
        assert rule(diary.send(late)) == "signed-other-text"


def test_counters_are_a_matter_of_each_agent_and_outlive_a_crash(diary: Diary) -> None:
    diary.send(ballot(diary, counter=5))
    diary.crash()
    assert dict(diary.state.counters) == {"ada": 1, "bob": 5}
    assert rule(diary.send(ballot(diary, choice=Choice.REJECT, counter=5))) == "replayed"
    assert diary.send(ballot(diary, "cy", counter=2)) is True


def test_a_stranger_is_told_so_whatever_he_signs(diary: Diary) -> None:
    message = replace(ballot(diary), by="mallory")
    assert rule(diary.send(message)) == "stranger"


def test_a_seat_that_has_a_key_does_not_lose_it(diary: Diary) -> None:
    assert rule(diary.send(ms.Join(diary.now, Seat("bob")))) == "key-dropped"
    assert diary.send(ms.Join(diary.now, Seat("bob", key="9" * 64))) == "bob"
    assert rule(diary.send(ballot(diary))) == "unknown-key"
    assert diary.send(ballot(diary, key="9" * 64)) is True


def test_of_a_change_that_is_there_in_part_what_was_signed_is_kept(diary: Diary) -> None:
    both = diary.change().add_node(spec("more")).add_node(spec("extra"))
    late = signed(diary, ms.Propose(diary.now, "r/p2", both, "eve"))
    for who in ("bob", "cy", "eve"):
        diary.send(ballot(diary, who, counter=2))
    assert diary.state.version == 2
    late = signed(diary, replace(late, proof=None), counter=3)
    assert diary.send(late) == "r/p2"
    made = diary.state.proposals["r/p2"]
    assert made.changeset.added == ("extra",)
    assert made.sent == both


def test_refusals_are_values_in_any_state() -> None:
    diary = keyed()
    unknown = ms.CastBallot(0.0, "r/p9", "bob", Choice.APPROVE, proof=Proof("rubbish", "", KEYS["bob"]))
    assert isinstance(diary.send(unknown), Refused)
    rubbish = ms.Propose(0.0, "r/p1", diary.change().add_node(spec("x")), "ada", proof=Proof("[", "", KEYS["ada"]))
    assert rule(diary.send(rubbish)) == "signed-elsewhere"
