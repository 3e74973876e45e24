"""`Call`: one question that an agent put to a model, as the journal keeps it; `Usage`: what an agent's calls come to.

What was asked and what was answered is not in here: of the question there is its digest, of the answer its outcome.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction

from ..base.codec import enum, record
from ..base.errors import SchemaError

MOST_RECENT = 20  #: calls of an agent that a run's state keeps


@enum
class CallOutcome(StrEnum):
    """How a call ended. All but the first leave the agent without an answer."""

    ANSWERED = "answered"
    DOWN = "down"  # nothing answers at that address
    SLOW = "slow"  # no answer in time
    UNAUTHORISED = "unauthorised"  # the endpoint refuses the key
    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    REFUSED = "refused"  # the endpoint refuses the question
    MALFORMED = "malformed"  # no answer of the wanted form, after all retries
    TRUNCATED = "truncated"  # the answer was cut off at the limit of its tokens
    OVER_LIMIT = "over its limit"  # of tokens, or of the budget: not asked, or not asked again
    NOT_RECORDED = "not recorded"  # a rehearsal has no answer to this question


@record
class Call:
    """One call. `prompt`: the SHA-256 of what was asked (hex); `about`: the proposal, event or node that it was for.

    purpose   "vote", "propose" or "run";  model  as its endpoint calls it;  endpoint  its host, nothing secret
    tokens    (in, out), as the endpoint counts;  requests  how often it was asked, retries with them
    seconds   that it took;  cost  in money; 0 where no price is known
    """

    purpose: str
    model: str
    prompt: str
    outcome: CallOutcome = CallOutcome.ANSWERED
    about: str = ""
    endpoint: str = ""
    tokens: tuple[int, int] = (0, 0)
    requests: int = 1
    seconds: float = 0.0
    cost: Fraction = Fraction(0)
    rehearsed: bool = False

    def __str__(self) -> str:
        """ "vote p1: answered by gpt-5, 310 + 24 tokens, 1.2 s, cost 0.0004, prompt 3fa4…"."""
        said = "answered by" if self.outcome is CallOutcome.ANSWERED else f"{self.outcome}:"
        text = f"{self.purpose} {self.about}: {said} {self.model}, {self.tokens[0]} + {self.tokens[1]} tokens"
        rehearsed = ", rehearsed" if self.rehearsed else ""
        return f"{text}, {self.seconds:.1f} s, cost {float(self.cost):.4g}, prompt {self.prompt[:12]}…{rehearsed}"

    def __post_init__(self) -> None:
        if self.cost < 0 or min(self.tokens) < 0 or self.requests < 0:
            raise SchemaError("what a call used is 0 or more")


@record
class Usage:
    """What an agent's calls in a run come to; `recent`: the latest ones, the last one last. All are in the journal."""

    calls: int = 0
    answered: int = 0
    tokens: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    cost: Fraction = Fraction(0)
    recent: tuple[Call, ...] = ()

    @property
    def last(self) -> Call | None:
        """The latest call."""
        return self.recent[-1] if self.recent else None

    def plus(self, call: Call) -> Usage:
        """With one more call."""
        tokens = (self.tokens[0] + call.tokens[0], self.tokens[1] + call.tokens[1])
        answered = self.answered + (call.outcome is CallOutcome.ANSWERED)
        recent = (*self.recent, call)[-MOST_RECENT:]
        return Usage(self.calls + 1, answered, tokens, self.seconds + call.seconds, self.cost + call.cost, recent)

    def __str__(self) -> str:
        """ "3 calls, 1 without an answer, 1240 + 96 tokens, 2.1 s, 0.00"."""
        failed = self.calls - self.answered
        parts = [f"{self.calls} call{'s' * (self.calls != 1)}"]
        parts += [f"{failed} without an answer"] if failed else []
        parts += [f"{self.tokens[0]} + {self.tokens[1]} tokens", f"{self.seconds:.1f} s"]
        return ", ".join([*parts, f"{float(self.cost):.4f}"])
