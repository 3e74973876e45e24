"""The dashboard as an application: who a session is, and serving it on an address of this machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import panel as pn

from . import api
from .pages import Dashboard, Identity, Lab, Place
from .pages.frame import RUNS_EVERY

TITLE = "hexdag_lab"
PAGE_STYLE = (Path(__file__).parent / "static" / "page.css").read_text("utf-8")


def tokens_for(*agents: str) -> dict[str, str]:
    """A fresh token for each agent: token -> agent id."""
    return {secrets.token_urlsafe(24): agent for agent in agents}


def identity_of(tokens: Mapping[str, str], arguments: Mapping[str, list[bytes]], user: str | None) -> Identity | None:
    """Who a session is: by the token in its address, by its login, or nobody."""
    given = [value.decode("utf-8", "replace") for value in arguments.get("token", [])]
    for token, agent in tokens.items():
        if any(secrets.compare_digest(token.encode(), value.encode()) for value in given):
            return Identity(agent, "token")
    return Identity(user, "login") if user else None


def session(lab: Lab, tokens: Mapping[str, str]) -> Any:
    """The pages for the session that is being made now."""
    if PAGE_STYLE not in pn.config.raw_css:
        pn.config.raw_css = [*pn.config.raw_css, PAGE_STYLE]
    arguments = pn.state.session_args
    given = {key: values[0].decode("utf-8", "replace") for key, values in arguments.items() if values}
    identity = identity_of(tokens, arguments, pn.state.user)
    document = pn.state.curdoc
    alive = [True]

    def schedule(work: Callable[[], None]) -> None:
        if alive[0] and document is not None:
            document.add_next_tick_callback(work)

    def moved(place: Place) -> None:
        if pn.state.location is not None:
            where: dict[str, Any] = place._asdict()
            pn.state.location.update_query(**where)

    def address(run: str) -> str:
        return "?" + urlencode(given | {"run": run, "page": "Run"})

    place = Place(given.get("run") or None, given.get("page", "Run"))
    pages = Dashboard(lab, identity, schedule, place, moved, address)

    def gone(_: Any) -> None:
        alive[0] = False
        pages.stop()

    pn.state.on_session_destroyed(gone)

    def look() -> None:
        pages.look_at_runs()

    pn.state.add_periodic_callback(look, period=RUNS_EVERY)
    return pages.view


def in_cell(lab: Lab, agent: str) -> Any:
    """The pages in a notebook cell, voting for the notebook's owner."""
    pn.extension(inline=True)  # nothing is loaded from elsewhere
    pages = Dashboard(lab, Identity(agent, "notebook"), lambda work: work())

    def look() -> None:
        if not pages.look_at_runs():
            looking.stop()
            pages.stop()

    looking = pn.state.add_periodic_callback(look, period=RUNS_EVERY)
    return pages.view


def serve(lab: Lab, tokens: Mapping[str, str], port: int = 0, address: str = "127.0.0.1", **options: Any) -> Any:
    """Serve the dashboard in this process, on a thread of its own; the server, whose `port` may have been picked."""
    return pn.serve(
        lambda: session(lab, tokens), port=port, address=address, show=False, threaded=False, start=False, title=TITLE,
        verbose=False, websocket_origin=options.pop("websocket_origin", None), extra_patterns=api.routes(lab, tokens),
        **options,
    )  # fmt: skip
