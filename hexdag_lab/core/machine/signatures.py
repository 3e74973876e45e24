"""What a signed ballot or proposal has to say to count in a run, and why one is refused.

The controller's door has checked the signature itself. Here its text is held against the message it came with and the
run as it is: each way in which they can differ is a refusal of its own. A seat without a key, as in journals from
before there were keys, needs no signature.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..base.canon import hash_of
from ..base.codec import dumps
from ..base.errors import NotAllowed, Refused
from ..dag.changeset import Changeset
from ..votes.agent import Seat
from ..votes.proposal import Proposal, effect_digest
from ..votes.signed import BALLOT, PROPOSAL, Claims, Proof
from . import messages as ms
from .state import RunState

Signable = ms.Propose | ms.CastBallot

_ELSEWHERE = "sign it for this run and this proposal"
_EDITED = "sign what you mean, and send just that"
#: field -> (rule, what to do); in this order they are looked at
_RULES: dict[str, tuple[str, str]] = {
    "type": ("signed-elsewhere", _ELSEWHERE),
    "run": ("signed-elsewhere", _ELSEWHERE),
    "origin": ("signed-elsewhere", _ELSEWHERE),
    "proposal": ("signed-elsewhere", _ELSEWHERE),
    "agent": ("signed-by-another", "each agent signs for itself"),
    "role": ("signed-role", "sign with the role that the run gives you"),
    "digest": ("signed-other-text", "look at the proposal as it is now, and sign that"),
}


def origin(state: RunState) -> str:
    """What tells a run from others of the same id: 64 hexadecimal digits."""
    first = state.versions[0]
    return hash_of((state.run, first.at, first.digest)).hex()


def claims(state: RunState, m: Signable) -> Claims:
    """What the signature of a message has to say, counter and expiry apart. Its agent and proposal are in the run."""
    who = {"run": state.run, "origin": origin(state), "agent": m.by, "role": state.seats[m.by].role.value}
    if isinstance(m, ms.Propose):
        text = {"digest": m.changeset.digest.hex(), "base": m.changeset.base.hex(), "apply_from": m.apply_from}
        asked = {} if m.raises is None else {"raises": dumps(m.raises).decode()}
        asked |= {} if m.steers is None else {"steers": dumps(m.steers).decode()}
        asked |= {"in_reply_to": m.in_reply_to} if m.in_reply_to else {}
        return {"type": PROPOSAL, **who, "proposal": m.id, "reason": m.reason, "priority": m.priority, **text, **asked}
    digest = voted_on(state.proposals[m.proposal])
    said = {"choice": m.choice.value, "reason": m.reason, "via": m.via}
    said |= {"nodes": " ".join(m.nodes)} if m.nodes else {}
    return {"type": BALLOT, **who, "proposal": m.proposal, "digest": digest, **said}


def voted_on(proposal: Proposal) -> str:
    """What a ballot on a proposal is signed for, 64 hexadecimal digits: all that its voter is shown of it."""
    effect = effect_digest(proposal.changeset, proposal.effect) if proposal.effect else b""
    asked = [dumps(ask) for ask in (proposal.raises, proposal.steers) if ask is not None]
    return hash_of((proposal.id, proposal.by, proposal.reason, effect, *asked)).hex()


def refused(state: RunState, m: Signable, at: float) -> Refused | None:
    """Why a message may not count at a time as far as its signature goes; None if nothing speaks against it."""
    key, proof = state.seats[m.by].key, m.proof
    if proof is None and not key:
        return None
    if proof is None:
        return NotAllowed(
            f"{m.by} has a key in this run, and this is not signed with it",
            rule="unsigned",
            fix="do it from a process that can read the key file of that agent, or give it by --key",
        )
    if proof.key != key:
        text = f"this is signed with the key {proof.key[:16]}…, which is not the one of {m.by}"
        return NotAllowed(
            text, rule="unknown-key", fix=f"sign with the key {key[:16]}…" if key else "add it with a key"
        )
    return _mismatch(claims(state, m), proof) or _replayed(state, m.by, proof) or expired(proof, at)


def _mismatch(wanted: Claims, proof: Proof) -> Refused | None:
    """The first field in which the signed text is not what it has to be."""
    said = proof.claims
    for field in (*_RULES, *(name for name in wanted if name not in _RULES)):
        if said.get(field) != wanted[field] or type(said[field]) is not type(wanted[field]):
            rule, fix = _RULES.get(field, ("signed-edited", _EDITED))
            text = f"the {field} that was signed is {_short(said.get(field))}, and here it is {_short(wanted[field])}"
            return NotAllowed(text, rule=rule, fix=fix)
    strange = sorted(said.keys() - wanted.keys() - {"counter", "expires"})
    if strange:
        return NotAllowed(f"a signed text has no field {_short(strange[0])}", rule="signed-edited", fix=_EDITED)
    return None


def _replayed(state: RunState, who: str, proof: Proof) -> Refused | None:
    last = state.counters.get(who, 0)
    if proof.counter > last:
        return None
    text = f"this signature of {who} has the counter {proof.counter}, and {last} has counted already"
    return NotAllowed(text, rule="replayed", fix="sign anew, with a higher counter")


def expired(proof: Proof, now: float) -> Refused | None:
    """Whether a signature has stopped to count."""
    if proof.expires > now:
        return None
    text = f"this signature counted until {proof.expires}, and now it is {now:.0f} (unix seconds)"
    return NotAllowed(text, rule="signature-expired", fix="sign anew; compare the clocks of the two hosts")


def sent(proposal: Proposal, rebased: Changeset) -> Changeset | None:
    """The change that was signed, where it is not the one that is put to the vote."""
    return None if proposal.proof is None or rebased.digest == proposal.changeset.digest else proposal.changeset


def key_dropped(state: RunState, seat: Seat) -> Refused | None:
    """Whether a seat would be taken without the key that it has had."""
    old = state.seats.get(seat.id)
    if old is None or not old.key or seat.key:
        return None
    return NotAllowed(f"{seat.id} has a key in this run, and would lose it", rule="key-dropped", fix="give it a key")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def with_proof(m: Signable, proof: Proof) -> Signable:
    """The message with its proof."""
    return replace(m, proof=proof)
