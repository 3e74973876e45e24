"""`Mind`: how an agent asks models, as plain data: where, within which limits, and from which tape. It asks nobody.

Secrets are not in here: an endpoint names the environment variable that has its key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ..core.base.errors import HexdagError, SchemaError
from ..core.dag.node import exact
from ..core.machine.state import RunState
from ..core.votes.calls import Call, CallOutcome, Usage
from .brief import TOKENS, tokens_of

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MILLION = 10**6
SECONDS = 60.0


class NoAnswer(HexdagError):
    """A model gave no answer that can be used: says how that came, and what to do. The agent is absent then."""

    def __init__(self, outcome: CallOutcome, text: str) -> None:
        self.outcome = outcome
        super().__init__(text)


class MissingExtra(HexdagError, ImportError):
    """A package that an extra brings is not installed: says how to install it."""


def check_extra() -> None:
    """Raise `MissingExtra`, if what models need is not there."""
    if any(find_spec(package) is None for package in ("pydantic_ai", "openai")):
        raise MissingExtra("an agent with a language model needs the extra llm: pip install 'hexdag-lab[llm]'")


@dataclass(frozen=True)
class Endpoint:
    """A model and where it is: "openai:gpt-5-mini", or the name that an OpenAI-compatible server at `url` gives it.

    key     the environment variable with the key, for an endpoint with a `url`; a provider by name has its own
    output  "native": the form of an answer goes along as a JSON schema; "tool": as a tool; None: what fits the endpoint
    price   (in, out) in money for a million tokens; None: as is publicly known of the model, else nothing
    """

    model: str
    url: str | None = None
    key: str | None = None
    output: str | None = None
    price: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise SchemaError("model is a name such as 'openai:gpt-5-mini'")
        if self.url is None and ":" not in self.model:
            raise SchemaError(f"model {self.model!r} names no provider: say 'openai:{self.model}', or give a url=")
        if self.key is not None and not _VARIABLE.fullmatch(self.key):
            raise SchemaError("key is the name of an environment variable, not the key itself: key='OPENAI_API_KEY'")
        if self.url is not None:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise SchemaError("url is the address of an OpenAI-compatible server: 'http://127.0.0.1:8080/v1'")
            if parts.username or parts.password or parts.query:
                raise SchemaError("url has a secret in it: give the key by an environment variable, key='NAME'")
        if self.output not in (None, "native", "tool"):
            raise SchemaError(f"output is 'native', 'tool' or None, not {self.output!r}")
        if self.price is not None:
            try:
                price_in, price_out = self.price
            except (TypeError, ValueError):
                raise SchemaError(f"price is (in, out) for a million tokens, not {self.price!r}") from None
            object.__setattr__(self, "price", (exact(price_in, "price"), exact(price_out, "price")))

    @property
    def name(self) -> str:
        """The model, as its provider calls it."""
        return self.model if self.url else self.model.partition(":")[2]

    @property
    def host(self) -> str:
        """Where it is, for people: nothing secret."""
        return urlsplit(self.url).netloc if self.url else self.model.partition(":")[0]

    @property
    def native(self) -> bool:
        """Whether the form of an answer goes along as a JSON schema."""
        return self.output == "native" if self.output else bool(self.url) or self.model.startswith("openai:")

    def secret(self) -> str | None:
        """The key, from the environment. Raises `NoAnswer` if its variable is empty."""
        if self.key is None:
            return None
        value = os.environ.get(self.key, "")
        if not value:
            text = f"the environment variable {self.key} has no key for {self.host}: set it where the lab is led"
            raise NoAnswer(CallOutcome.UNAUTHORISED, text)
        return value

    def cost(self, tokens: tuple[int, int]) -> Fraction | None:
        """What so many tokens (in, out) cost; None where that is not known beforehand."""
        if self.price is None:
            return None
        price: Fraction = (tokens[0] * self.price[0] + tokens[1] * self.price[1]) / MILLION
        return price


@dataclass(frozen=True)
class Mind:
    """How an agent asks.

    endpoints  the first one, and those that are asked where it does not answer
    seconds    for one question, all endpoints and retries together
    retries    how often a model is asked again, with what is wrong with its answer
    looks      how often it may look at more of the graph before it answers
    tokens, cost   the most that its calls in one run may come to; None: the run's budget is the only limit
    record, rehearse   a tape that answers are written to, or come from
    """

    endpoints: tuple[Endpoint, ...]
    goal: str = ""
    seconds: float = SECONDS
    retries: int = 2
    looks: int = 0
    answer_tokens: int = 800
    context_tokens: int = TOKENS
    temperature: float | None = 0.0
    tokens: int | None = None
    cost: Fraction | None = None
    record: str | None = None
    rehearse: str | None = None

    def __post_init__(self) -> None:
        if self.record is not None and self.rehearse is not None:
            raise SchemaError("an agent records its answers or rehearses them: give record= or rehearse=, not both")
        for name, least in (("retries", 0), ("looks", 0), ("answer_tokens", 1), ("context_tokens", 100)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise SchemaError(f"{name} is a whole number, {least} or more, not {value!r}")
        if self.tokens is not None and (type(self.tokens) is not int or self.tokens < 0):
            raise SchemaError(f"tokens is a whole number, 0 or more, or None, not {self.tokens!r}")
        if self.cost is not None:
            object.__setattr__(self, "cost", exact(self.cost, "cost"))


@dataclass(frozen=True)
class Question:
    """What is asked once: for what, in which words, in which form, and what would be wrong with an answer.

    state, agent  the run and the asker, whose limits hold; None and "" where no run is at hand
    called        records a call;  look(focus, depth)  more of the graph
    matter        what makes it this question and no other, whatever the moment of the run: by this a tape knows it
    """

    purpose: str
    about: str
    instructions: str
    prompt: str
    form: Any
    agent: str = ""
    state: RunState | None = None
    objections: Callable[[Any], list[str]] = field(default=lambda answer: [])
    called: Callable[[Call], None] = field(default=lambda call: None)
    look: Callable[[str, int], str] | None = None
    matter: str = ""

    @property
    def text(self) -> str:
        return f"{self.instructions}\n\n{self.prompt}"

    def usage(self) -> Usage:
        """What the asker's calls in this run come to so far."""
        return Usage() if self.state is None else self.state.calls.get(self.agent, Usage())


def over_limit(mind: Mind, question: Question, endpoint: Endpoint) -> str:
    """Why a question may not be asked; empty if it may. It has to fit with the most that its answer may come to."""
    used = question.usage()
    asked, most = tokens_of(question.text), mind.answer_tokens
    if mind.tokens is not None and sum(used.tokens) + asked + most > mind.tokens:
        return f"its {mind.tokens} tokens for this run are used up ({sum(used.tokens)} used, {asked + most} wanted)"
    # No tokenizer makes more than one token of a byte; with each request all that was said before goes along.
    requests = 1 + mind.retries + mind.looks
    known = endpoint.cost((requests * (len(question.text.encode()) + mind.retries * most), requests * most))
    price = known or Fraction(0)
    if mind.cost is not None and used.cost + price > mind.cost:
        return f"its cost limit of {float(mind.cost):g} for this run leaves no room for another question"
    budget = question.state.budget if question.state is not None else None
    if question.state is not None and budget is not None and budget.cost is not None:
        left = budget.cost - question.state.spent()
        unknown = known is None and endpoint.url is None  # it has a price, which is known once it has answered
        if price > left or (unknown and left <= 0):
            rest = float(max(left, Fraction(0)))
            return f"the run's budget has {rest:.4g} left, and a question may cost {float(price):.4g}"
    return ""
