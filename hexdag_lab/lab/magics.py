"""Magics for IPython, after `%load_ext hexdag_lab`:

    %%node retries=2, requires={"gpu"}    the function that the cell defines becomes a node with these options
    %lab                                  the runs of the lab and what waits for a decision; also `%lab inbox`
    %lab why fit                          why a node does not move, and what has happened to it
    %%propose because the tail is long    the change that the cell ends with, shown first; a button proposes it.
                                          A cell of plain words is put to an agent with a language model instead

They say in fewer words what the public names do, and decide nothing.
"""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.display import display

from ..agents.llm import LLMAgent
from ..core.base.errors import HexdagError
from ..core.dag.changeset import Changeset
from ..core.dag.conflict import Conflict
from ..core.dag.dag import Dag
from ..core.dag.diff import diff
from ..core.dag.node import node
from ..runtime.thread import LoopThread
from ..views.kernel import in_kernel
from .lab import Lab
from .registry import open_labs
from .rows import GOING_ON
from .run import Run

T = TypeVar("T")

CHANGE = "change"
"""In the cell of `%%propose`: an empty change of the run; afterwards, the one that the cell ends with."""


class Magics:
    """What `%load_ext hexdag_lab` adds to a notebook's shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def node(self, line: str, cell: str) -> None:
        """Define a function as a node: `%%node retries=2`. Run again, it offers to reload it where it is at work."""
        names = self._names()
        try:
            options = _options(line, names)
            function = _last_function(cell)
        except (HexdagError, SyntaxError, NameError, TypeError) as error:
            raise UsageError(f"%%node: {error}") from None
        if not self.shell.run_cell(cell, silent=True).success:  # silent: what it offers to reload is told once
            return
        defined = names[function]
        try:
            names[function] = node(getattr(defined, "__hexdag_fn__", defined), **options)
        except (HexdagError, TypeError) as error:
            raise UsageError(f"%%node: {error}") from None

    def lab(self, line: str) -> None:
        """`%lab`, `%lab inbox` or `%lab why NODE`."""
        verb, *rest = shlex.split(line) or ["status"]
        found = self._lab()
        match verb, rest:
            case "status", []:
                print("\n".join(_status(found)))
            case "inbox", []:
                _show_inbox(found)
            case "why", [name]:
                print("\n".join(_why(found, name)))
            case _:
                raise UsageError("%lab, %lab inbox or %lab why NODE")

    def propose(self, line: str, cell: str) -> Any:
        """Show the change that a cell ends with, and propose it once you press the button, or at once with --yes.

        In the cell, `change` is an empty change of the run: `change.add_node(extra)`. What is no Python, or any text
        with --ask AGENT, is a request: an agent with a language model makes the change of it that is shown."""
        asked = _proposal_of(line)
        run = self._run(asked.run)
        if asked.ask is not None or _in_words(cell):
            change = self._suggested(run, cell, asked)
        else:
            change = self._made(run, cell)
        if change is None:
            return None
        self._names()[CHANGE] = change = change.because(" ".join(asked.reason)) if asked.reason else change
        return _asked(run, change, asked.by, asked.yes)

    def _made(self, run: Run, cell: str) -> Changeset | None:
        """The change that a cell of Python ends with; None if it failed, which IPython has shown."""
        names = self._names()
        names[CHANGE] = Changeset.on(run.dag)
        result = self.shell.run_cell(_keeping_last(cell), silent=True)
        if not result.success:
            return None
        change = names.pop(_LAST, None)
        if isinstance(change, Dag):
            change = Changeset.between(run.dag, change)
        if not isinstance(change, Changeset):
            raise UsageError(f"%%propose: the cell ends with {change!r}, not with a change: change.add_node(extra)")
        return change

    def _suggested(self, run: Run, words: str, asked: Any) -> Changeset | None:
        """The change that an agent makes of words; None if it would make none, which is printed with its reason."""
        if asked.yes:
            raise UsageError("%%propose: what an agent makes of your words is shown before it is proposed: no --yes")
        agent = _who_suggests(self._lab(), asked.ask)
        print(f"{agent.id} ({agent.model}) makes a change of it; that takes at most {agent.mind.seconds:g} s …")
        try:
            change = _done_beside(agent.suggest(words, run))
        except (HexdagError, ValueError) as error:
            raise UsageError(f"%%propose: {agent.id} has made no change: {error}") from None
        if change.empty:
            print(f"{agent.id} would change nothing: {change.reason or 'it does not say why'}")
            return None
        return change.because(f"{' '.join(words.split())} ({agent.id}: {change.reason})")

    def _names(self) -> dict[str, Any]:
        names: dict[str, Any] = self.shell.user_ns
        return names

    def _lab(self) -> Lab:
        found = open_labs()
        if not found:
            raise UsageError("no lab is open here; lab = hx.Lab() opens one")
        return found[-1]

    def _run(self, run: str | None) -> Run:
        lab = self._lab()
        if run is None:
            going = [row.id for row in lab.runs() if row.status in GOING_ON and row.led]
            if not going:
                raise UsageError("no run is going on; lab.start(dag) starts one")
            run = going[-1]
        return lab.attached(run)


# -- %%node


def _options(line: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments as in a call, with the notebook's own names."""
    call = ast.parse(f"f({line})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args or any(word.arg is None for word in call.keywords):
        raise SyntaxError('options are written as in a call: %%node retries=2, requires={"gpu"}')
    return {str(word.arg): _value(word.value, names) for word in call.keywords}


def _value(expression: ast.expr, names: Mapping[str, Any]) -> Any:
    return eval(compile(ast.Expression(expression), "%%node", "eval"), dict(names))


def _last_function(cell: str) -> str:
    found = [s.name for s in ast.parse(cell).body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not found:
        raise HexdagError("the cell defines no function")
    return found[-1]


# -- %lab


def _status(lab: Lab) -> Iterator[str]:
    rows = lab.runs()
    for row in rows[-10:]:
        waits = f", {row.open} open" if row.open else ""
        yield f"{row.id:12} v{row.version}  {row.done}/{row.nodes}  {row.status}{waits}"
    if not rows:
        yield "no runs yet; lab.start(dag) starts one"
    waiting = [str(p.id) for p in lab.inbox()]
    if waiting:
        yield f"wait for a decision: {', '.join(waiting)}  (%lab inbox shows them)"


def _show_inbox(lab: Lab) -> None:
    from rich.console import Console

    from ..views import terminal

    waiting, console = lab.inbox(), Console()
    for proposal in waiting:
        state = lab.attached(proposal.id.rpartition("/")[0]).view.state
        found = state.proposals[proposal.id]
        console.print(terminal.card(state, found, time.time(), min(console.width, 100), lab.owner.id))
        print(f'lab.vote("{proposal.id}", lab.owner, "approve" | "reject" | "abstain" | "request_changes", "why")')
    if not waiting:
        print("nothing waits for a decision")


def _why(lab: Lab, name: str) -> Iterator[str]:
    going = [row.id for row in lab.runs() if row.status in GOING_ON] or [row.id for row in lab.runs()]
    runs = [run for run in map(lab.attached, reversed(going)) if name in run.nodes]
    if not runs:
        raise UsageError(f"no run of the lab has a node {name!r}")
    seen = runs[0].nodes[name]
    yield f"{runs[0].id}: {name} is {seen.state}" + (f": {seen.why}" if seen.why else "")
    yield from runs[0].story(name)


# -- %%propose

_LAST = "_hexdag_change"


def _proposal_of(line: str) -> Any:
    parser = _Words(prog="%%propose", add_help=False)
    parser.add_argument("--by", default=None)
    parser.add_argument("--run", default=None)
    parser.add_argument("--ask", default=None)
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("reason", nargs="*")
    return parser.parse_args(shlex.split(line))


class _Words(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(f"%%propose: {message}; %%propose [--by AGENT] [--run RUN] [--ask AGENT] [--yes] [REASON …]")


def _keeping_last(cell: str) -> str:
    """The cell with its last expression kept under a name, so that nothing is shown twice."""
    try:
        tree = ast.parse(cell)
    except SyntaxError:
        return cell  # IPython says where it is wrong
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name(_LAST, ast.Store())], last.value), last)
    return ast.unparse(ast.fix_missing_locations(tree))


_CODE = re.compile(r"\w\(|^\s*([\w.]+\s*=|[%!])", re.MULTILINE)  #: what a slip in Python has, and a sentence has not


def _in_words(cell: str) -> bool:
    """Whether a cell is no Python, nor meant to be."""
    try:
        ast.parse(cell)
    except SyntaxError:
        return _CODE.search(cell) is None
    return False


def _who_suggests(lab: Lab, wanted: str | None) -> LLMAgent:
    """The agent of that name, or else the lab's first one with a language model."""
    able = {agent.id: agent for agent in lab.agents.values() if isinstance(agent, LLMAgent)}
    if not able:
        add = 'lab.add_agent(hx.LLMAgent("scout", model="openai:gpt-5-mini", votes=False))'
        instead = "or write the change in Python: change.add_node(extra)"
        raise UsageError(
            f"%%propose: words need an agent with a language model, and the lab has none. {add}, {instead}"
        )
    if wanted is not None and wanted not in able:
        raise UsageError(f"%%propose: {wanted!r} is no agent with a language model here; --ask {' | '.join(able)}")
    return able[wanted] if wanted is not None else next(iter(able.values()))


def _done_beside(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs beside the cell; if the cell is interrupted, it is cancelled."""
    beside = LoopThread("hexdag-suggests")
    beside.start()
    try:
        return beside.run(work)
    finally:
        beside.stop()


def _asked(run: Run, change: Changeset, by: str | None, at_once: bool) -> Any:
    """The change as a picture, against the graph as it is now, and the question."""
    head = run.dag
    fits = change.rebase(head)
    if isinstance(fits, Conflict):
        raise UsageError(f"%%propose: the graph has moved on meanwhile, and the change no longer fits: {fits}")
    if fits.target is not None:
        display(diff(head, fits.target))
    if at_once:
        return run.propose(change, by=by)
    how = f"run {run.id}: nothing is proposed yet"
    if not in_kernel():
        print(f"{how}; {CHANGE} has it: lab.attached({run.id!r}).propose({CHANGE})")
        return None
    from ..views.asking import AskWidget

    return AskWidget(how, lambda: run.propose(change, by=by))


def register(shell: Any) -> None:
    """Add them to a notebook."""
    magics = Magics(shell)
    shell.register_magic_function(magics.node, "cell", "node")
    shell.register_magic_function(magics.lab, "line", "lab")
    shell.register_magic_function(magics.propose, "cell", "propose")
