"""Seats: who takes part in a lab, in which role, with how much weight."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from math import isfinite
from typing import Any

from ..base.codec import enum, record
from .ballot import Choice


@enum
class Role(StrEnum):
    """orchestrator: proposes and votes; executor: runs nodes, proposes, advises; observer: watches."""

    ORCHESTRATOR = "orchestrator"
    EXECUTOR = "executor"
    OBSERVER = "observer"


@record
class Caps:
    """What one agent may propose in one run; None is no limit. People have none unless somebody sets them.

    proposals   how many proposals
    nodes       how many nodes one proposal may add or replace
    depth       how far a proposal may be from the first graph: a proposal that is caused by a node which a proposal
                has added, or that answers a proposal, is one deeper than that
    """

    proposals: int | None = 1000
    nodes: int | None = 200
    depth: int | None = 50

    def __post_init__(self) -> None:
        for name in ("proposals", "nodes", "depth"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 0):
                raise ValueError(f"caps: {name} is a whole number, 0 or more, or None; not {value!r}")


UNCAPPED = Caps(None, None, None)
REMIND = 60.0  #: seconds before a deadline that people are told again, unless they say otherwise
SILENCES = (Choice.ABSTAIN, Choice.REJECT)  #: what silence may count as: never as a yes, that is the policy's to say


@record
class Seat:
    """An agent's membership. `weight` is its trust as an exact fraction; `implicit` is true for an owner whom nobody
    added by hand: she decides where the policy says "owner", and has no weight elsewhere.

    votes, hooks  name the shipped code (SHA-256) of its `vote` and `on_event` functions; "here" if it could not be
    shipped, so that it answers only in the process that added it; None if it has none.
    key           the public half of its Ed25519 key (64 hexadecimal digits), with which its ballots and proposals have
    to be signed; empty in journals from before there were keys
    caps          what it may propose; None: as is usual, see `limits`
    runs          names the shipped code of its `run` function, which runs the nodes that are given to it; None: their
    own functions run
    seconds       its time for one answer; None: as is usual
    catalogued    whether it may add only what the run's catalogue has, as what a model says has to
    desk          which process calls its functions while that one lives; empty: whoever leads
    otherwise     what its silence counts as when the deadline passes; None: as nothing
    remind        how many seconds before the deadline a person is told again
    """

    id: str
    role: Role = Role.ORCHESTRATOR
    weight: Fraction = Fraction(1)
    family: str = ""
    capabilities: frozenset[str] = frozenset()
    human: bool = False
    implicit: bool = False
    votes: str | None = None
    hooks: str | None = None
    key: str = ""
    caps: Caps | None = None
    runs: str | None = None
    seconds: float | None = None
    catalogued: bool = False
    desk: str = ""
    otherwise: Choice | None = None
    remind: float = REMIND

    @property
    def limits(self) -> Caps:
        """Its caps: those it was given, else none for a person and the usual ones for a function."""
        return self.caps or (UNCAPPED if self.human else Caps())


def key_of(text: Any, who: str) -> str:
    """A public key as seats have it: 64 lower-case hexadecimal digits. Raises ValueError for anything else."""
    if not isinstance(text, str) or len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"{who}: a public key is 64 hexadecimal digits, as `hexdag-lab key FILE` prints them")
    return text.lower()


def weight_of(trust: Any) -> Fraction:
    """Trust as an exact weight, denominator <= 10^6. Raises ValueError for NaN, infinite or negative trust."""
    if isinstance(trust, bool) or not isinstance(trust, int | float | Fraction) or not isfinite(trust) or trust < 0:
        raise ValueError(f"trust is a finite number, 0 or more, not {trust!r}")
    return Fraction(trust).limit_denominator(10**6)
