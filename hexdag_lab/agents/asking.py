"""Asking a model: the only module that knows pydantic-ai, which is loaded when the first question is asked.

Each endpoint is asked in turn until one answers, within one deadline; the SDK's own retries are off. Whatever happens
is one `Call` in the journal and, without an answer, one sentence. What an endpoint says in an error is not repeated: it
may hold the key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from fractions import Fraction
from hashlib import sha256
from json import dumps
from typing import Any

from openai import AsyncOpenAI
from pydantic import TypeAdapter
from pydantic_ai import Agent, ModelRetry, NativeOutput, Tool, ToolOutput, UsageLimits
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage

from ..core.base.errors import SchemaError
from ..core.votes.calls import Call, CallOutcome
from .mind import Endpoint, Mind, NoAnswer, Question, over_limit
from .tape import NotRecorded, Tape

_log = logging.getLogger(__name__)

#: what the errors of pydantic-ai mean, by name: a more special one first, as it is found along the class's bases
OUTCOMES = {
    "ModelTimeoutError": CallOutcome.SLOW, "RunTimedOut": CallOutcome.SLOW, "TimeoutError": CallOutcome.SLOW,
    "ModelConnectionError": CallOutcome.DOWN, "ModelAuthenticationError": CallOutcome.UNAUTHORISED,
    "ModelRateLimitError": CallOutcome.RATE_LIMITED, "ModelQuotaExceededError": CallOutcome.RATE_LIMITED,
    "ModelServerError": CallOutcome.SERVER_ERROR, "ModelUnavailableError": CallOutcome.SERVER_ERROR,
    "OutputTokenLimitExceeded": CallOutcome.TRUNCATED, "UsageLimitExceeded": CallOutcome.OVER_LIMIT,
    "UnexpectedModelBehavior": CallOutcome.MALFORMED, "NotRecorded": CallOutcome.NOT_RECORDED,
    "SchemaError": CallOutcome.NOT_RECORDED,
    "ModelAPIError": CallOutcome.REFUSED,
}  # fmt: skip
#: with these, another endpoint would do no better
FINAL = frozenset({CallOutcome.OVER_LIMIT, CallOutcome.NOT_RECORDED})


async def ask(mind: Mind, question: Question) -> Any:
    """The answer, in the question's form and without objections. Raises `NoAnswer`, `NotRecorded`."""
    until, said = time.monotonic() + mind.seconds, list[str]()
    outcome = CallOutcome.DOWN
    for number, endpoint in enumerate(mind.endpoints):
        share = max(0.05, (until - time.monotonic()) / (len(mind.endpoints) - number))
        attempt = _Attempt(mind, question, endpoint, share)
        answer = await attempt.ask()
        question.called(attempt.call())
        outcome = attempt.outcome
        if outcome is CallOutcome.ANSWERED:
            return answer
        said.append(attempt.said)
        if outcome in FINAL:
            break
    if outcome is CallOutcome.NOT_RECORDED:
        _log.error("%s", said[-1])
        raise NotRecorded(said[-1])
    raise NoAnswer(outcome, "; then ".join(said))


class _Attempt:
    """One question to one endpoint, and what came of it."""

    def __init__(self, mind: Mind, question: Question, endpoint: Endpoint, seconds: float) -> None:
        self.mind, self.question, self.endpoint, self.seconds = mind, question, endpoint, seconds
        self.outcome, self.said = CallOutcome.ANSWERED, ""
        self.usage, self.took = RunUsage(), 0.0
        self.known_cost = Fraction(0)
        self.objected: list[str] = []

    async def ask(self) -> Any:
        """The answer, or None: then `outcome` and `said` say why."""
        if why := over_limit(self.mind, self.question, self.endpoint):
            return self._ends(CallOutcome.OVER_LIMIT, why)
        began = time.monotonic()
        try:
            return await asyncio.wait_for(self._run(), self.seconds)
        except NoAnswer as none:
            return self._ends(none.outcome, str(none))
        except Exception as error:  # a model, its SDK and its server: the edge of the world
            outcome = outcome_of(error)
            return self._ends(outcome, self._sentence(outcome, error))
        finally:
            self.took = time.monotonic() - began

    def _ends(self, outcome: CallOutcome, said: str) -> None:
        self.outcome, self.said = outcome, said

    async def _run(self) -> Any:
        model, client = _model(self.endpoint, self.mind)
        try:
            agent = self._agent(_Taped(model, self.endpoint, self.mind, self.question))
            most = self.mind.tokens
            left = None if most is None else max(1, most - sum(self.question.usage().tokens))
            result = await agent.run(
                self.question.prompt,
                usage=self.usage,
                usage_limits=UsageLimits(
                    request_limit=1 + self.mind.retries + self.mind.looks, total_tokens_limit=left
                ),
            )
            self.known_cost = _known_cost(result.all_messages())
            return result.output
        finally:
            if client is not None:
                await client.close()

    def _agent(self, model: Model) -> Agent[None, Any]:
        form: Any = self.question.form
        if form is not str:
            form = (NativeOutput if self.endpoint.native else ToolOutput)(form)
        settings = ModelSettings(max_tokens=self.mind.answer_tokens, timeout=self.seconds)
        if self.mind.temperature is not None:
            settings["temperature"] = self.mind.temperature
        tools = [Tool(self._get_dag, name="get_dag")] if self.question.look is not None and self.mind.looks else []
        agent: Agent[None, Any] = Agent(
            model, output_type=form, instructions=self.question.instructions, retries=self.mind.retries,
            model_settings=settings, tools=tools,
        )  # fmt: skip
        agent.output_validator(self._checked)
        return agent

    def _get_dag(self, focus: str, depth: int = 1) -> str:
        """More of the graph: the nodes within `depth` steps of the node `focus`."""
        assert self.question.look is not None
        return self.question.look(focus, max(0, min(depth, 10)))

    def _checked(self, answer: Any) -> Any:
        self.objected = self.question.objections(answer)
        if self.objected:
            raise ModelRetry("Your answer cannot be used:\n" + "\n".join(f"- {each}" for each in self.objected))
        return answer

    def _sentence(self, outcome: CallOutcome, error: Exception) -> str:
        host, name, most = self.endpoint.host, self.endpoint.name, self.mind.answer_tokens
        status = getattr(error, "status_code", None)
        code = f" (HTTP {status})" if status else ""
        key = f" in {self.endpoint.key}" if self.endpoint.key else ""
        wrong = f": {'; '.join(self.objected)}" if self.objected else ""
        return {
            CallOutcome.SLOW: f"{name} at {host} gave no answer within {self.seconds:.3g} s",
            CallOutcome.DOWN: f"nothing answers at {host}: is it running, and is that its address?",
            CallOutcome.UNAUTHORISED: f"{host} refuses the key{key}{code}: is it right, and may it use {name}?",
            CallOutcome.RATE_LIMITED: f"{host} is asked too often{code}: wait, or ask for a higher limit",
            CallOutcome.SERVER_ERROR: f"{host} has an error of its own{code}: ask it again later",
            CallOutcome.TRUNCATED: f"{name}'s answer was cut off at {most} tokens: raise answer_tokens",
            CallOutcome.OVER_LIMIT: f"{name} used more tokens than the agent has left in this run: raise tokens",
            CallOutcome.MALFORMED: f"{name} gave no answer of the wanted form in {self.usage.requests} requests{wrong}",
            CallOutcome.NOT_RECORDED: str(error),
        }.get(outcome, f"{name} at {host} cannot be asked like that{code}: {type(error).__name__}")

    def call(self) -> Call:
        """What the journal keeps of it."""
        tokens = (self.usage.input_tokens or 0, self.usage.output_tokens or 0)
        cost = self.endpoint.cost(tokens)
        return Call(
            self.question.purpose, self.endpoint.name, sha256(self.question.text.encode()).hexdigest(), self.outcome,
            self.question.about, self.endpoint.host, tokens, self.usage.requests or 0, self.took,
            Fraction(0) if self.mind.rehearse else self.known_cost if cost is None else cost,
            self.mind.rehearse is not None,
        )  # fmt: skip


def outcome_of(error: BaseException) -> CallOutcome:
    """What an error means, by the first of its bases that is known; a `SchemaError` is about a tape."""
    return next(
        (OUTCOMES[base.__name__] for base in type(error).__mro__ if base.__name__ in OUTCOMES), CallOutcome.REFUSED
    )


def _model(endpoint: Endpoint, mind: Mind) -> tuple[Model, AsyncOpenAI | None]:
    """The model behind an endpoint, and the client to be closed after the question. A rehearsal needs no key."""
    if mind.rehearse is not None or endpoint.url is not None:
        key = None if mind.rehearse is not None else endpoint.secret()
        url = endpoint.url or "http://127.0.0.1:9/rehearsal"
        client = AsyncOpenAI(base_url=url, api_key=key or "none", max_retries=0)
        return OpenAIChatModel(endpoint.name, provider=OpenAIProvider(openai_client=client)), client
    model = infer_model(endpoint.model)
    sdk: Any = getattr(model, "client", None)
    if hasattr(sdk, "max_retries"):
        sdk.max_retries = 0  # the desk decides what is asked again
    return model, None


def _known_cost(messages: list[ModelMessage]) -> Fraction:
    """What the answers cost by publicly known prices; nothing for a model that nobody has a price of."""
    total = Fraction(0)
    for message in messages:
        if isinstance(message, ModelResponse):
            try:
                total += Fraction(message.cost().total_price).limit_denominator(10**9)
            except (LookupError, ValueError, AssertionError):
                continue
    return total


class _Taped(WrapperModel):
    """A model whose answers are recorded, or come from a tape, or neither."""

    def __init__(self, wrapped: Model, endpoint: Endpoint, mind: Mind, question: Question) -> None:
        super().__init__(wrapped)
        self._endpoint, self._asked = endpoint, question
        self._record = None if mind.record is None else tape_of(mind.record)
        self._rehearse = None if mind.rehearse is None else tape_of(mind.rehearse)
        schema = dumps(TypeAdapter(question.form).json_schema(), sort_keys=True)
        self._form = sha256(schema.encode()).hexdigest()

    async def request(
        self, messages: list[ModelMessage], model_settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> ModelResponse:
        if self._record is None and self._rehearse is None:
            return await self.wrapped.request(messages, model_settings, parameters)
        question, asked = self._question(messages), self._asked.state
        if self._rehearse is not None:
            return _response(self._rehearse.play(question, "" if asked is None else asked.run))
        response = await self.wrapped.request(messages, model_settings, parameters)
        assert self._record is not None
        self._record.record(question, ModelMessagesTypeAdapter.dump_json([response]))
        return response

    def _question(self, messages: list[ModelMessage]) -> str:
        """A question as text: the model, the form of the answer, what is asked, and all that was said since."""
        asked = self._asked
        lines = [f"model {self._endpoint.name}", f"form {self._form}", asked.instructions, asked.matter or asked.prompt]
        for message in messages[1:]:
            for part in message.parts:
                said = getattr(part, "content", None) or getattr(part, "args", None) or ""
                lines.append(f"{part.part_kind} {said if isinstance(said, str) else dumps(said, default=str)}")
        return "\n".join(lines)


def _response(answer: bytes) -> ModelResponse:
    (message,) = ModelMessagesTypeAdapter.validate_json(answer)
    if not isinstance(message, ModelResponse):
        raise SchemaError("a recording is a model's answer, and this one is a question")
    return message


_TAPES: dict[str, Tape] = {}


def tape_of(path: str) -> Tape:
    """The tape of a file: one in a process, which knows what it has played."""
    return _TAPES.setdefault(path, Tape(path))
