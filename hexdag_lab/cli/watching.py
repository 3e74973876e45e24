"""Commands that look at a lab, also beside a leader: `runs`, `serve`, `inbox`, `diff`, `replay`, `story`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time

from ..lab import Lab
from ..lab.rows import GOING_ON
from .commands import Commands, screen, watched


def add(commands: Commands) -> None:
    """Add them to the parser."""
    commands.add("runs", _runs, "the runs of the store")
    serve = commands.add("serve", _serve, "the dashboard in a browser: it watches the store and votes through it")
    serve.add_argument("--port", type=int, default=5006, help="0 picks a free one; default: %(default)s")
    serve.add_argument(
        "--agent",
        action="append",
        help="print an address for this agent (default: you, or who owns the runs); repeatable",
    )
    text = "print the addresses as JSON, agent -> address, and end when standard input does: for programs"
    serve.add_argument("--json", action="store_true", help=text)
    serve.add_argument("--basic-auth", metavar="FILE", help="people log in by this JSON file: name -> password")
    serve.add_argument("--oauth-provider", metavar="NAME", help="people log in there: one of Panel's, such as github")
    for name in ("key", "secret", "redirect-uri"):
        variable = f"PANEL_OAUTH_{name.upper().replace('-', '_')}"
        serve.add_argument(f"--oauth-{name}", metavar="TEXT", help=f"of that provider; default: ${variable}")
    serve.add_argument(
        "--login", action="append", default=[], metavar="LOGIN=AGENT", help="who that login votes as; repeatable"
    )
    serve.add_argument("--cookie-secret", metavar="TEXT", help="keeps people logged in after a restart")
    text = "also pages of this HOST:PORT may talk to it: a proxy's address"
    serve.add_argument("--allow-origin", action="append", metavar="HOST:PORT", help=text)
    inbox = commands.add("inbox", _inbox, "open proposals, the most urgent first")
    inbox.add_argument("--full", action="store_true", help="also all words that are too long for a card")
    diff = commands.add("diff", _diff, "what differs between two versions of a run", "run")
    diff.add_argument("old", type=int)
    diff.add_argument("new", type=int)
    replay = commands.add("replay", _replay, "what happened in a run, or the run as it was; nothing is executed", "run")
    replay.add_argument("--at", type=int, default=None, metavar="SEQ", help="show the run as it was after that event")
    commands.add("story", _story, "what happened to a node", "run", "node")


def _runs(options: argparse.Namespace) -> int:
    from rich.table import Table

    table = Table("run", "status", "version", "nodes", "open", "by")
    with watched(options.store) as lab:
        rows, survives = lab.runs(), lab.durability.words
    for row in rows:
        orphaned = row.status in GOING_ON and not row.led
        status = f"{row.status} (orphaned: hexdag-lab attach {row.id})" if orphaned else row.status
        table.add_row(row.id, status, f"v{row.version}", f"{row.done}/{row.nodes}", str(row.open), row.by)
    screen().print(table if rows else f"no runs in {options.store}")
    screen().print(f"what the store has acknowledged survives {survives}", style="dim")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from ..views import access, dashboard

    given = access.server_options(
        options.basic_auth, options.oauth_provider, options.cookie_secret, key=options.oauth_key,
        secret=options.oauth_secret, redirect_uri=options.oauth_redirect_uri,
    )  # fmt: skip
    logins = access.logins_of(options.login)
    with watched(options.store) as lab:
        tokens = dashboard.tokens_for(*(options.agent or _owners(lab)))
        server = dashboard.serve(lab, tokens, options.port, logins=logins, websocket_origin=_origins(options), **given)
        addresses = {agent: f"http://127.0.0.1:{server.port}/?token={token}" for token, agent in tokens.items()}
        if options.json:
            print(json.dumps(addresses), flush=True)
            threading.Thread(target=_until_input_ends, daemon=True).start()
        else:
            print(f"the dashboard of {options.store}; who opens one of these addresses votes as that agent:")
            print(*(f"  {agent}: {address}" for agent, address in addresses.items()), sep="\n", flush=True)
            if prefix := access.hub_prefix():
                print("through JupyterHub, at your hub's address:")
                paths = (f"  {agent}: {prefix}{server.port}/?token={token}" for token, agent in tokens.items())
                print(*paths, sep="\n", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            dashboard.run(server)
    return 0


def _owners(lab: Lab) -> list[str]:
    """You; or whose the runs are, if there are some and none of them is yours: you could not vote on any."""
    theirs = {row.by for row in lab.runs()}
    return [lab.owner.id] if lab.owner.id in theirs or not theirs else sorted(theirs)


def _origins(options: argparse.Namespace) -> list[str] | None:
    """Whose pages may talk to the server: its own, and those that were named."""
    if not options.allow_origin:
        return None
    if options.port == 0:
        raise ValueError("--allow-origin needs a --port of your choice, which the server's own pages are named by")
    return [f"127.0.0.1:{options.port}", f"localhost:{options.port}", *options.allow_origin]


def _until_input_ends() -> None:
    """A program that has started this one holds the other end; when it is gone, however it went, so are we."""
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _inbox(options: argparse.Namespace) -> int:
    from ..views import models, terminal

    console = screen()
    with watched(options.store) as lab:
        found = lab.inbox()
        for proposal in found:
            state = lab.attached(proposal.id.rpartition("/")[0]).view.state
            console.print(terminal.card(state, state.proposals[proposal.id], time.time(), console.width, lab.owner.id))
            if words := models.whole(state, state.proposals[proposal.id], lab.owner.id):
                text = words if options.full else "its words are cut here: hexdag-lab inbox --full shows all"
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            console.print(f"hexdag-lab vote {proposal.id} approve|reject|abstain|request_changes", style="dim")
    if not found:
        console.print("nothing waits for a decision")
    return 0


def _diff(options: argparse.Namespace) -> int:
    with watched(options.store) as lab:
        print(lab.attached(options.run).view.diff(options.old, options.new))
    return 0


def _replay(options: argparse.Namespace) -> int:
    from ..core.machine.story import sentence
    from ..views import terminal

    with watched(options.store) as lab:
        run, console = lab.attached(options.run), screen()
        if options.at is not None:
            past = run.at(options.at).state
            console.print(terminal.run(past, past.at, width=console.width, height=console.height))
            return 0
        for event in run.events():
            when = time.strftime("%H:%M:%S", time.localtime(event.at))
            console.print(f"{event.seq:5}  {when}  {sentence(event)}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _story(options: argparse.Namespace) -> int:
    with watched(options.store) as lab:
        print("\n".join(lab.attached(options.run).story(options.node)))
    return 0
