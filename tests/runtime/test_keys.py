"""Agents' keys: where they lie, who signs with them, and that no changed signature comes through the door."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import NotAllowed, Refused, SchemaError
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.machine import decide
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.signed import Proof
from hexdag_lab.core.votes.weighing import Unanimous
from hexdag_lab.runtime import wire
from hexdag_lab.runtime.keys import Keys, admitted, good, public_half, sign
from hexdag_lab.runtime.seal import Seal
from tests.core.machine.diary import Diary, spec

SECRET = bytes(range(32))


@pytest.fixture
def keys() -> Keys:
    return Keys()


def opened(keys: Keys) -> RunState:
    """A run in which ada has proposed r/p1, and bob may vote; both have their keys here."""
    diary = Diary("a", Unanimous())
    diary.start(slots=0, seats=tuple(Seat(name, key=keys.public(name)) for name in ("ada", "bob")))
    change = diary.change().add_node(spec("more"))
    assert diary.send(keys.signed(diary.state, ms.Propose(0.0, "r/p1", change, "ada", "more"))) == "r/p1"
    return diary.state


def ballot(by: str = "bob") -> ms.CastBallot:
    return ms.CastBallot(0.0, "r/p1", by, Choice.APPROVE, "it is cheap", "key")


def answer(state: RunState, message: Any, now: float = 0.0) -> Any:
    """What the door and the core say to a message."""
    there = admitted(message, now)
    if isinstance(there, Refused):
        return there
    return decide.decide(state, there)[1][-1].value  # type: ignore[union-attr]


def test_what_is_signed_here_counts(keys: Keys) -> None:
    state = opened(keys)
    signed = keys.signed(state, ballot())
    assert good(signed.proof)
    assert answer(state, signed) is True
    assert keys.signed(state, signed) is signed, "what has a signature keeps it"


def test_who_has_no_key_here_looks_on(keys: Keys) -> None:
    state = opened(keys)
    stranger = Keys()
    assert stranger.signed(state, ballot()) == ballot()
    assert answer(state, stranger.signed(state, ballot())).rule == "unsigned"
    stranger.public("bob")  # a key, but another one
    assert stranger.signed(state, ballot()).proof is None
    assert keys.signed(state, ballot("mallory")).proof is None
    assert keys.signed(state, ms.Pause(0.0, "bob")) == ms.Pause(0.0, "bob")


KEYS = Keys()
STATE = opened(KEYS)
SIGNED = KEYS.signed(STATE, ballot())
ROW = dumps(SIGNED)


@given(st.integers(0, len(ROW) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_signed_message_comes_through(place: int, change: int) -> None:
    row = bytearray(ROW)
    row[place] ^= change
    try:
        message = loads(bytes(row))
        same = message == SIGNED or replace(message, at=SIGNED.at) == SIGNED  # its time is not what is signed
    except (SchemaError, UnicodeDecodeError, TypeError):
        return  # it cannot be read
    if isinstance(message, ms.CastBallot) and not same:
        assert isinstance(answer(STATE, message), Refused)


@given(st.integers(0, len(SIGNED.proof.text) - 1), st.characters(codec="utf-8"))
def test_no_changed_character_of_a_signed_text_comes_through(place: int, other: str) -> None:
    text = SIGNED.proof.text
    changed = text[:place] + other + text[place + 1 :]
    if changed != text:
        refused = answer(STATE, replace(SIGNED, proof=replace(SIGNED.proof, text=changed)))
        assert (type(refused), refused.rule) == (NotAllowed, "bad-signature")


@pytest.mark.parametrize(
    "proof",
    [
        replace(SIGNED.proof, signature=SIGNED.proof.signature.upper()),
        replace(SIGNED.proof, signature=SIGNED.proof.signature[:-2]),
        replace(SIGNED.proof, signature=SIGNED.proof.signature + " "),
        replace(SIGNED.proof, key=f" {SIGNED.proof.key}"),
        replace(SIGNED.proof, signature="not hexadecimal"),
        replace(SIGNED.proof, key="ab" * 31),
        replace(SIGNED.proof, key=""),
        Proof(1, 2, 3),  # type: ignore[arg-type]
    ],
)
def test_a_proof_that_is_none_is_refused(proof: Proof) -> None:
    refused = answer(STATE, replace(SIGNED, proof=proof))
    assert refused.rule == "bad-signature"
    assert refused.fix


def test_a_signature_under_another_form_of_the_text_is_refused(keys: Keys) -> None:
    loose = json.dumps(json.loads(SIGNED.proof.text), indent=1)
    assert answer(STATE, replace(SIGNED, proof=sign(SECRET, loose))).rule == "not-canonical"


def test_a_signature_under_nothing_that_can_be_read_is_refused() -> None:
    assert answer(STATE, replace(SIGNED, proof=sign(SECRET, "yes"))).rule == "not-canonical"


def test_a_key_that_nobody_in_the_run_has_is_refused() -> None:
    assert answer(STATE, replace(SIGNED, proof=sign(SECRET, SIGNED.proof.text))).rule == "unknown-key"


def test_a_signature_expires_by_the_clock_of_the_door() -> None:
    until = SIGNED.proof.expires
    assert answer(STATE, SIGNED, until - 1) is True
    late = answer(STATE, replace(SIGNED, at=0.0), until)
    assert late.rule == "signature-expired"
    assert "clocks" in late.fix


def test_two_signatures_in_one_instant_have_rising_counters(keys: Keys) -> None:
    state = opened(keys)
    first = keys.signed(state, ballot()).proof.counter
    assert first > 1_700_000_000_000
    ahead = state._replace(counters=FrozenDict({"bob": first + 10**9}))
    assert keys.signed(ahead, ballot()).proof.counter == first + 10**9 + 1, "also where another clock goes ahead"


# -- files


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_each_agent_has_a_key_of_its_own_that_only_its_owner_can_read(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    names = ["marie", "Marie", "../../etc/passwd", "a/b", "é", "x" * 300]
    publics = [keys.public(name) for name in names]
    assert len(set(publics)) == len(names)
    files = sorted((tmp_path / "keys").iterdir())
    assert len({file.name.lower() for file in files}) == len(names), "also where a file system takes case for the same"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert [Keys(tmp_path / "keys").public(name) for name in names] == publics, "it stays the same"


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
def test_a_key_that_others_could_read_is_closed(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    path = keys.path("bob")
    assert path is not None
    path.write_text("ab" * 32)
    path.chmod(0o644)
    assert keys.public("bob") == public_half(b"\xab" * 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ä"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    path = Keys(tmp_path).path("bob")
    assert path is not None
    path.write_text(text)
    with pytest.raises(SchemaError, match=f"the key of bob in {path} .*move it away to get a new one"):
        Keys(tmp_path).public("bob")
    with pytest.raises(SchemaError, match="the key of bob"):
        Keys().hold("bob", path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SchemaError, match="the key of bob cannot be written to"):
        Keys(tmp_path / "file").public("bob")


def test_a_key_from_elsewhere_signs_once_it_is_held(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "mine").write_text(SECRET.hex())
    assert keys.hold("bob", tmp_path / "mine") == public_half(SECRET) == keys.public("bob")


def test_nothing_shows_a_secret(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "mine").write_text(SECRET.hex())
    keys.hold("bob", tmp_path / "mine")
    state = opened(keys)
    shown = f"{keys!r} {keys} {state!r} {keys.signed(state, ballot())!r} {dumps(keys.signed(state, ballot()))!r}"
    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown


@pytest.mark.parametrize("key", ["", "ab", "zz" * 32, "ab" * 33, 7, b"ab" * 32])
def test_what_is_no_public_key_is_named(key: Any) -> None:
    with pytest.raises(ValueError, match="critic: a public key is 64 hexadecimal digits"):
        hx.Agent("critic", public_key=key)


def test_nobody_here_can_sign_for_functions_of_an_agent_whose_key_is_elsewhere() -> None:
    with pytest.raises(ValueError, match="critic: its key is elsewhere"):
        hx.Agent("critic", public_key="AB" * 32, vote=lambda context: True)
    assert hx.Agent("critic", public_key="AB" * 32).public_key == "ab" * 32


# -- commands of agents that do not have the lab's key


def test_a_signed_ballot_is_let_in_without_the_labs_key_and_nothing_else_is() -> None:
    stranger, lab = Seal(), Seal()
    for message, rule in [
        (SIGNED, None),
        (replace(SIGNED, proof=None), "unsigned-command"),
        (replace(SIGNED, via="notebook"), "unsigned-command"),
        (ms.Withdraw(0.0, "r/p1", "bob"), "unsigned-command"),
        (ms.Pause(0.0, "bob"), "unsigned-command"),
        (ms.Join(0.0, Seat("eve")), "unsigned-command"),
    ]:
        _, row = wire.pack_command("r", message, stranger)
        command = wire.unpack_command(row, lab)
        assert command.message == message if rule is None else command.message.rule == rule
