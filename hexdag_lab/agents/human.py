"""`HumanAgent`: a person. Nobody asks a person by a function: the open proposal is on the screens, and the vote comes
by a button, the command line or `p.vote`. `lab.notify(hx.Webhook(…))` tells her that she is needed."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ..core.votes.agent import REMIND, SILENCES
from .agent import Agent


@dataclass(slots=True, eq=False)
class HumanAgent(Agent):
    """A person who takes part; trusted fully unless said otherwise.

    With `vote`, a script answers for her: for rehearsals and tests.

    remind     how many seconds before a deadline she is told again, at the earliest in the middle of her time
    otherwise  what it counts as if she has not voted when the policy's deadline passes: "abstain" or "reject", cast in
               her name with `via` "default". Never "approve": whether silence is a yes is for the policy to say. None:
               as nothing

    Raises ValueError for what these cannot be.
    """

    trust: float = 1.0
    remind: float = REMIND
    otherwise: str | None = None

    human = True

    def __post_init__(self) -> None:
        Agent.__post_init__(self)  # no super(): a class with slots is made anew, and that one is not in here
        if isinstance(self.remind, bool) or not 0 <= self.remind < inf:
            raise ValueError(f"{self.id}: remind is a number of seconds, 0 or more, not {self.remind!r}")
        if self.otherwise == "approve":
            raise ValueError(
                f"{self.id}: silence is no yes of a person; a policy may take it for one: "
                'hx.Deadline(seconds=…, otherwise="accept")'
            )
        if self.otherwise is not None and self.otherwise not in SILENCES:
            raise ValueError(f"{self.id}: otherwise is one of {', '.join(SILENCES)} or None, not {self.otherwise!r}")
