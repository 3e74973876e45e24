"""The demo on a terminal: live while it runs, a question where a person decides, a table at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..core.base.errors import HexdagError
from ..core.machine import events as ev
from ..core.machine.story import seen_by, sentence
from ..core.runs.run import RunStatus
from ..views import terminal, wording
from . import digits
from .keys import Keys
from .search import outcome

FRAME = 0.1  #: seconds
LOOK_EVERY = 1.0  #: seconds between looks whether anybody goes on with the run
#: told in another line already, or of no interest in a log
SILENT = (*ev.UNHOOKED, ev.ProposalOpened, ev.ProposalApplied)
WORDS = {
    **dict.fromkeys(("y", "yes", "a", "approve"), "approve"),
    **dict.fromkeys(("n", "no", "r", "reject"), "reject"),
    **dict.fromkeys(("c", "change", "changes", "request_changes"), "request_changes"),
}
Notes = Callable[[Any], Mapping[str, str]]


def follow(
    run: Any,
    console: Console,
    person: str | None,
    notes: Notes | None = None,
    gone: Callable[[], bool] = lambda: False,
) -> None:
    """Show a run until it ends.

    person  who is asked here where a proposal needs her; None asks nobody
    notes   what to show beside nodes;  gone  whether nobody goes on with the run any more: then there is no use to wait
    """
    watch = _Watch(gone)
    if not console.is_terminal:
        _lines(run, console, watch)
        return
    asks = person is not None and sys.stdin.isatty()
    with Keys() if asks else nullcontext() as keys, Live(console=console, auto_refresh=False) as live:
        screen = _Screen(run, console, str(person), keys, notes or (lambda _: {}))
        while not screen.draw(live) and not watch.gone():
            screen.listen()


class _Watch:
    """Asks now and then whether anybody goes on with the run."""

    def __init__(self, gone: Callable[[], bool]) -> None:
        self._ask, self._next = gone, time.monotonic() + LOOK_EVERY

    def gone(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + LOOK_EVERY
        return self._ask()


class _Screen:
    """What is on the screen, and which proposal the person is asked about."""

    def __init__(self, run: Any, console: Console, person: str, keys: Keys | None, notes: Notes) -> None:
        self._run, self._console, self._person, self._keys, self._notes = run, console, person, keys, notes
        self._asked: str | None = None
        self._said = ""

    def draw(self, live: Live) -> bool:
        """Draw the latest state; whether the run is over."""
        state = self._run.view.state
        asked = self._question(state)
        if asked != self._asked:
            self._asked, self._said = asked, ""
            if self._keys is not None:
                self._keys.forget()  # nobody has answered a question before it was shown
        width, height = self._console.size
        prompt = self._prompt() if self._asked else []
        shown = terminal.run(state, time.time(), self._notes(self._run), width, height - len(prompt) - 1, self._asked)
        live.update(Group(shown, *prompt), refresh=True)
        return bool(state.over)

    def listen(self) -> None:
        """Wait a moment for what the person types."""
        if self._keys is None:
            time.sleep(FRAME)
            return
        line = self._keys.read(FRAME)
        if line and self._asked:
            self._said = self._vote(line)

    def _question(self, state: Any) -> str | None:
        """An open proposal that waits for this person."""
        if self._keys is None:
            return None
        found = (p.id for p in state.open_proposals() if self._person in p.tally(state.policy, state.at).needs)
        return next(found, None)

    def _prompt(self) -> list[Text]:
        typed = self._keys.line if self._keys else ""
        question = Text.assemble(
            (f"{self._person}, approve? ", "bold"), "[y]es, [n]o why, [c]hange what: ", typed, ("▏", "blink")
        )
        other = self._said or f"or in another terminal: hexdag-lab vote {self._asked} approve"
        return [question, Text(other, "red" if self._said else "dim", overflow="ellipsis", no_wrap=True)]

    def _vote(self, line: str) -> str:
        """Cast what was typed; why that could not be done."""
        word, _, reason = line.partition(" ")
        choice = WORDS.get(word.lower().rstrip(".,:;!"))
        if choice is None:
            return f"not understood: {line[:40]!r}"
        try:
            self._run.proposal(self._asked).vote(self._person, choice, reason.strip(), "terminal")
        except HexdagError as error:
            return str(error)
        return ""


def _lines(run: Any, console: Console, watch: _Watch) -> None:
    """One line an event, for logs and pipes."""
    seen = 0
    while True:
        over = run.view.state.over
        for event in run.events(after=seen):
            seen = event.seq
            if not isinstance(event, SILENT) and (text := _line(seen_by(event, "", run.view.state))):
                console.print(f"{seen:>5}  {text}", markup=False, highlight=False, soft_wrap=True)
        if over or watch.gone():
            return
        time.sleep(FRAME)


def _line(event: Any) -> str:
    reason = wording.clean(event.proposal.reason, 120) if isinstance(event, ev.ProposalMade) else ""
    return sentence(event) + (f', "{reason}"' if reason else "")


def finish(run: Any, console: Console, seed: int, seconds: float) -> None:
    """The closing tables: versions, who and why, and the accuracy beside the static grid's."""
    console.print(terminal.versions(run.view.state, console.width))
    if run.view.status is not RunStatus.SUCCEEDED:
        console.print(f"the run is {run.view.status}")
        return
    found = outcome(run.view.results())
    console.print("the static grid runs for comparison …", style="dim")
    static = digits.static_result(seed)
    table = Table(title=f"digits, seed {seed}: accuracy on {digits.TEST} held-out images", title_justify="left")
    for column in ("search", "fits", "accuracy"):
        table.add_column(column, justify="left" if column == "search" else "right")
    table.add_row("static 5 x 5 grid, its best fit", str(static["fits"]), f"{static['accuracy']:.4f}")
    table.add_row("the same grid, its top three averaged", str(static["fits"]), f"{static['ensemble']:.4f}")
    table.add_row("this run: changed while it ran", str(found.fits), f"{found.accuracy:.4f}", style="bold")
    console.print(table)
    fewer = static["fits"] - found.fits
    if fewer:
        console.print(f"this run used {fewer} fits {'fewer' if fewer > 0 else 'more'} than the grid has")
    for agent, usage in sorted(run.view.state.calls.items()):
        console.print(f"{agent}: {usage}, {usage.last.model if usage.last else ''}", highlight=False)
    made = len(run.proposals)
    console.print(f"{len(run.versions)} versions, {made} proposals, {seconds:.1f} s", highlight=False)
