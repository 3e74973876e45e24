"""The dashboard as an application: who a session is, and serving it on an address of this machine."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from contextvars import Context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import panel as pn
from panel.io.resources import BASE_TEMPLATE

from . import api
from .access import Access, tokens_for
from .pages import Dashboard, Identity, Lab, Place
from .pages.frame import RUNS_EVERY
from .screen import Cell, Garbage, at_once, of_session

__all__ = ["TITLE", "in_cell", "run", "serve", "session", "tokens_for"]

TITLE = "hexdag_lab"
GARBAGE = Garbage()
_LIGHT, _DARK = ((Path(__file__).parent / "static" / name).read_text("utf-8") for name in ("page.css", "dark.css"))
#: Panel's own page, and that it is as wide as the screen: a phone else shows it as a desktop's, too small to hit.
PAGE = BASE_TEMPLATE.environment.from_string(
    '{% extends "base.html" %}{% block preamble %}{{ super() }}'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '{% if theme_name == "dark" %}<style>' + _DARK + "</style>{% endif %}{% endblock %}"
)
PAGE_STYLE = f"{_LIGHT}\n@media (prefers-color-scheme: dark) {{ {_DARK} }}"


def session(lab: Lab, tokens: Mapping[str, str], logins: Mapping[str, str] | None = None) -> Any:
    """The pages for the session that is being made now; `tokens`: token -> agent, `logins`: login -> agent."""
    if PAGE_STYLE not in pn.config.raw_css:
        pn.config.raw_css = [*pn.config.raw_css, PAGE_STYLE]
    arguments = pn.state.session_args
    given = {key: values[0].decode("utf-8", "replace") for key, values in arguments.items() if values}
    identity = Access(tokens, logins, bool(pn.config.oauth_provider)).identity(arguments, pn.state.user)
    document = pn.state.curdoc
    if document is not None:
        document.template = PAGE
    screen = of_session(document)

    def moved(place: Place) -> None:
        if pn.state.location is not None:
            where: dict[str, Any] = place._asdict()
            pn.state.location.update_query(**where)

    def address(run: str) -> str:
        return "?" + urlencode(given | {"run": run, "page": "Run"})

    place = Place(given.get("run") or None, given.get("page", "Run"))
    pages = Dashboard(lab, identity, screen.do, place, moved, address)

    def gone(_: Any) -> None:
        screen.close()
        pages.stop()
        GARBAGE.collect_soon()

    pn.state.on_session_destroyed(gone)

    def look() -> None:
        at_once(pages.look_at_runs)

    def shown() -> None:
        at_once(screen.open)
        look()
        pn.state.add_periodic_callback(look, period=RUNS_EVERY)

    pn.state.onload(shown)
    return pages.view


def in_cell(lab: Lab, agent: str) -> Any:
    """The pages in a notebook cell, voting for the notebook's owner."""
    pn.extension(inline=True)  # nothing is loaded from elsewhere
    cell = Cell(sizing_mode="stretch_width")
    pages = Dashboard(lab, Identity(agent, "notebook"), cell.screen.do)
    cell.append(pages.view)

    def look() -> None:
        if not pages.look_at_runs():
            looking.stop()
            pages.stop()

    looking = pn.state.add_periodic_callback(lambda: cell.screen.do(look), period=RUNS_EVERY)
    return cell


def serve(
    lab: Lab,
    tokens: Mapping[str, str],
    port: int = 0,
    address: str = "127.0.0.1",
    logins: Mapping[str, str] | None = None,
    **options: Any,
) -> Any:
    """Serve the dashboard in this process, on a thread of its own; the server, whose `port` may have been picked.

    Only pages of this very address may talk to it; `websocket_origin` names others. `options` are Panel's."""
    server = pn.serve(
        lambda: session(lab, tokens, logins), port=port, address=address, show=False, threaded=False, start=False,
        title=TITLE, verbose=False, websocket_origin=options.pop("websocket_origin", None),
        extra_patterns=api.routes(lab, tokens), **options,
    )  # fmt: skip
    server.io_loop.add_callback(Context().run, _tidy)
    return server


def run(server: Any) -> None:
    """Run a server for as long as this process lives. What is there by now stays, and is not looked through for garbage
    any more: that keeps every page waiting for some 100 ms."""
    gc.collect()
    gc.freeze()
    server.start()
    server.io_loop.start()


def _tidy() -> None:
    """Start what Panel tidies up with, in a context of nobody's. It would start with the first event of the first
    session, and its task would keep that session's document, and so its page, for as long as the server lives."""
    schedule = getattr(pn.state, "_schedule_busy_cleanup", None)  # Panel's own: releases without it need nothing
    if schedule is not None:
        schedule()
