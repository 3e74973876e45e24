"""What the dashboard's server tells programs, as JSON: runs, open proposals as cards, and a way to vote. The JupyterLab
extension lives on it. It is for whoever holds a token, given in a header, so that no page of another site can use it.

    GET  /api/state?after=TAG   {"tag", "agent", "runs": [...], "inbox": [...]}; with `after` it answers once something
                                is other than it was at TAG, or after `PATIENCE` seconds
    POST /api/vote              {"proposal", "choice", "reason", "seen"} -> {"state", "tally"}

Anything else is {"error", "fix"}: 400 what cannot be understood, 401 no token, 409 a refusal, 503 no store.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from tornado.web import RequestHandler

from ..core.base.errors import HexdagError, StoreUnavailable
from . import models

LOOK_EVERY = 0.5  #: seconds between two looks at the lab while somebody waits for news
PATIENCE = 20.0  #: seconds that a question for news stays unanswered at most
VIA = "token"


def routes(lab: Any, tokens: Mapping[str, str]) -> list[Any]:
    """What the server answers beside its pages; `tokens`: token -> agent id."""
    given = {"lab": lab, "tokens": tokens}
    return [(r"/api/state", _State, given), (r"/api/vote", _Vote, given)]


class _Told(RequestHandler):
    """One who answers in JSON, and to nobody without a token."""

    def initialize(self, lab: Any, tokens: Mapping[str, str]) -> None:
        self.lab, self.tokens = lab, tokens

    def prepare(self) -> None:
        given = self.request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        found = [agent for token, agent in self.tokens.items() if secrets.compare_digest(token.encode(), given)]
        if not found:
            self.refuse(401, "this address is for whoever has a token", "Authorization: Bearer TOKEN, as `serve` says")
            return
        self.agent = found[0]

    def check_xsrf_cookie(self) -> None:
        """No cookie says who this is: the token does."""

    def tell(self, **data: Any) -> None:
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(data, ensure_ascii=False))

    def refuse(self, status: int, error: str, fix: str = "") -> None:
        self.set_status(status)
        self.tell(error=error, fix=fix)


class _State(_Told):
    async def get(self) -> None:
        after, give_up = self.get_query_argument("after", ""), time.monotonic() + PATIENCE
        while True:
            try:
                state = await asyncio.to_thread(state_of, self.lab, self.agent)
            except StoreUnavailable as error:
                return self.refuse(503, str(error), "it goes on by itself once the store answers")
            except HexdagError as error:
                return self.refuse(409, str(error))
            tag = tag_of(state)
            if tag != after or time.monotonic() > give_up:
                return self.tell(tag=tag, **state)
            await asyncio.sleep(LOOK_EVERY)


class _Vote(_Told):
    async def post(self) -> None:
        try:
            asked = json.loads(self.request.body)
            words = {key: asked[key] for key in ("proposal", "choice")}
            words |= {key: asked.get(key, "") for key in ("reason", "seen")}
            if not all(isinstance(word, str) for word in words.values()):
                raise TypeError("all of it is text")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            fix = '{"proposal": "run-1/p1", "choice": "approve", "reason": "…", "seen": "…"}'
            return self.refuse(400, f"this is no ballot ({error})", fix)
        try:
            self.tell(**await asyncio.to_thread(self._cast, **words))
        except StoreUnavailable as error:
            self.refuse(503, str(error), "vote again once the store answers")
        except (HexdagError, ValueError) as error:
            self.refuse(409, str(error), str(getattr(error, "fix", "") or ""))

    def _cast(self, proposal: str, choice: str, reason: str, seen: str) -> dict[str, Any]:
        self.lab.vote(proposal, self.agent, choice, reason, VIA, seen=seen)
        after = self.lab.proposal(proposal)
        return {"state": str(after.state), "tally": str(after.tally)}


def state_of(lab: Any, agent: str) -> dict[str, Any]:
    """What an agent wants to know of all runs: where they are, and what waits for a decision."""
    runs = [row._asdict() for row in lab.runs()]
    return {"agent": agent, "runs": runs, "inbox": [card_of(lab, proposal, agent) for proposal in lab.inbox()]}


def card_of(lab: Any, proposal: Any, agent: str) -> dict[str, Any]:
    """An open proposal as a card; `deadline` is in unix seconds."""
    run = proposal.id.rpartition("/")[0]
    state = lab.attached(run).view.state
    found = state.proposals[proposal.id]
    card = models.card(state, found, time.time(), agent)
    voters = [seat.id for seat in found.electorate.seats] if found.electorate else []
    words = (
        "id",
        "title",
        "reason",
        "changes",
        "effect",
        "estimate",
        "outlook",
        "votes",
        "tally",
        "settles",
        "standing",
        "source",
    )
    return {
        **{word: getattr(card, word) for word in words},
        "run": run, "checks": [{"ok": ok, "text": text} for ok, text in card.checks], "seen": found.seen or "",
        "deadline": proposal.deadline, "may_vote": agent in voters,
    }  # fmt: skip


def tag_of(state: Mapping[str, Any]) -> str:
    """A short name of all that is said: another one means that there is news."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]
