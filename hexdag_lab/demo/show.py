"""The demo on a terminal: live while it runs, a question where a person decides, a table at the end."""

from __future__ import annotations

import select
import sys
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..core.base.errors import Refused
from ..core.machine.events import UNHOOKED
from ..core.machine.story import sentence
from ..core.runs.run import RunStatus
from ..views import terminal
from . import digits
from .search import outcome

FRAME = 0.1  #: seconds


def follow(run: Any, console: Console, person: str | None) -> None:
    """Show a run until it ends. `person`: who is asked here where a proposal needs her; None asks nobody."""
    if not console.is_terminal:
        return _lines(run, console)
    asked: set[str] = set()
    while not run.view.state.over:
        with Live(terminal.run(run.view.state), console=console, refresh_per_second=10) as live:
            question = None
            while not run.view.state.over and question is None:
                time.sleep(FRAME)
                live.update(terminal.run(run.view.state))
                question = _question(run, person, asked)
        if question is not None:
            asked.add(question.id)
            _ask(run, question, console, str(person))
    console.print(terminal.run(run.view.state))
    return None


def _lines(run: Any, console: Console) -> None:
    """One line an event, for logs and pipes."""
    seen = 0
    while True:
        over = run.view.state.over
        for event in run.events(after=seen):
            seen = event.seq
            if not isinstance(event, UNHOOKED) and (text := sentence(event)):
                console.print(f"{seen:>5}  {text}", markup=False, highlight=False)
        if over:
            return
        time.sleep(FRAME)


def _question(run: Any, person: str | None, asked: set[str]) -> Any:
    """An open proposal that waits for this person."""
    if person is None or not sys.stdin.isatty():
        return None
    for proposal in run.view.state.open_proposals():
        handle = run.proposal(proposal.id)
        if proposal.id not in asked and person in handle.tally.needs:
            return handle
    return None


def _ask(run: Any, proposal: Any, console: Console, person: str) -> None:
    state = run.view.state
    console.print(terminal.card(state, state.proposals[proposal.id], time.time()))
    console.print(f"{person}, approve? [b]y[/b]es, [b]n[/b]o, or a reason to reject it "
                  f"(or in another terminal: hexdag-lab vote {proposal.id} approve): ", end="")  # fmt: skip
    answer = _typed_line(lambda: proposal.terminal)
    if answer is None:
        console.print("decided elsewhere")
        return
    yes = answer.lower() in ("y", "yes", "")
    try:
        proposal.vote(
            person,
            "approve" if yes else "reject",
            "" if yes or answer.lower() in ("n", "no") else answer,
            "terminal",
        )
    except Refused as refused:
        console.print(str(refused), markup=False)


def _typed_line(given_up: Any) -> str | None:
    """A line from the keyboard, or None if it is no longer wanted."""
    while not given_up():
        ready, _, _ = select.select([sys.stdin], [], [], 0.2)
        if ready:
            return sys.stdin.readline().strip()
    return None


def finish(run: Any, console: Console, seed: int, seconds: float) -> None:
    """The closing tables: versions, who and why, and the accuracy beside the static grid's."""
    console.print(terminal.versions(run.view.state))
    if run.view.status is not RunStatus.SUCCEEDED:
        console.print(f"the run is {run.view.status}")
        return
    found = outcome(run.view.results())
    console.print("the static grid runs for comparison …", style="dim")
    static = digits.static_result(seed)
    table = Table(
        title=f"digits, seed {seed}: accuracy on {digits.TEST} held-out images", title_justify="left"
    )
    for column in ("search", "fits", "accuracy"):
        table.add_column(column, justify="left" if column == "search" else "right")
    table.add_row("static 5 x 5 grid, its best fit", str(static["fits"]), f"{static['accuracy']:.4f}")
    table.add_row("the same grid, its top three averaged", str(static["fits"]), f"{static['ensemble']:.4f}")
    table.add_row("this run: changed while it ran", f"{found['fits']:.0f}", f"{found['accuracy']:.4f}")
    console.print(table)
    console.print(f"{len(run.versions)} versions, {len(run.proposals)} proposals, {seconds:.1f} s")
