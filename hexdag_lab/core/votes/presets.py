"""Policies that are picked by name."""

from __future__ import annotations

from fractions import Fraction

from .people import HumanApproval, OwnerDecides
from .policy import Deadline, Policy
from .weighing import Quorum, Supermajority


def solo() -> Policy:
    """The owner's own changes pass after the checks, agents' changes need her; after ten minutes: reject."""
    return OwnerDecides() & Deadline(600)


def pair() -> Policy:
    """One person who is not the proposer; after ten minutes: reject."""
    return HumanApproval() & Deadline(600)


def committee() -> Policy:
    """Two thirds of the yes and no cast, 60 % of the weight present; after ten minutes: reject."""
    return Supermajority(Fraction(2, 3), "cast") & Quorum(share=Fraction(3, 5)) & Deadline(600)


def autopilot() -> Policy:
    """What only adds nodes passes after the checks; anything else needs a person; after ten minutes: reject."""
    return HumanApproval(unless_additive=True) & Deadline(600)


PRESETS = {"solo": solo, "pair": pair, "committee": committee, "autopilot": autopilot}


def policy_of(value: Policy | str) -> Policy:
    """A policy, or the preset of that name."""
    if isinstance(value, Policy):
        return value
    if value in PRESETS:
        return PRESETS[value]()
    raise ValueError(f"policy is a policy or one of {', '.join(PRESETS)}, not {value!r}")
