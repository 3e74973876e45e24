"""Policies that are picked by name. Each settles after ten minutes, and then it rejects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from .people import OWNER, HumanApproval, OwnerDecides, Owners, Veto
from .policy import Deadline, Policy
from .weighing import Quorum, Supermajority

_SOON = Deadline(600)


def solo() -> Policy:
    """The owner's own changes pass after the checks, agents' changes need her."""
    return OwnerDecides() & _SOON


def pair() -> Policy:
    """One person who is not the proposer."""
    return HumanApproval() & _SOON


def owners(of: Mapping[str, Any] | None = None) -> Policy:
    """The owners of what is touched, and one more voter. Without `of`, the lab's owner owns all nodes."""
    return Owners({"*": OWNER} if of is None else of, more=1) & _SOON


def committee() -> Policy:
    """Two thirds of the yes and no cast, 60 % of the weight present, and no veto of the lab's owner."""
    return Supermajority(Fraction(2, 3), "cast") & Quorum(share=Fraction(3, 5)) & Veto(OWNER) & _SOON


def autopilot() -> Policy:
    """What only adds nodes passes after the checks; anything else needs a person."""
    return HumanApproval(unless_additive=True) & _SOON


PRESETS: dict[str, Callable[[], Policy]] = {
    "solo": solo, "pair": pair, "owners": owners, "committee": committee, "autopilot": autopilot,
}  # fmt: skip


def policy_of(value: Policy | str) -> Policy:
    """A policy, or the preset of that name."""
    if isinstance(value, Policy):
        return value
    if value in PRESETS:
        return PRESETS[value]()
    raise ValueError(f"policy is a policy or one of {', '.join(PRESETS)}, not {value!r}")
