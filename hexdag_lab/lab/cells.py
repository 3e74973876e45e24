"""In a notebook: a cell that defines a node of a run that goes on is answered with how to reload it there.

Nothing is proposed by itself: people run cells for many reasons.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ..core.base.errors import DagError
from ..core.dag.node import Node, NodeSpec, spec_of
from ..core.dag.reload import nodes_of
from ..core.machine.state import RunState

States = Callable[[], dict[str, RunState]]

_watched: dict[int, Any] = {}


def watch_cells(states: States) -> None:
    """From now on, offer to reload what cells define anew in these runs; once for each notebook. Outside of IPython
    nothing happens."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "events") and _watched.get(id(shell)) is not shell:
        _watched[id(shell)] = shell
        shell.events.register("post_run_cell", lambda result: _answer(result, shell.user_ns, states))


def _answer(result: Any, names: dict[str, Any], states: States) -> None:
    if result.success and result.info is not None:
        for line in offers(str(result.info.raw_cell), names, states()):
            print(line)


def offers(cell: str, names: dict[str, Any], states: dict[str, RunState]) -> Iterator[str]:
    """A line for each function that a cell defines and that a run has as a node with other code."""
    for name in _defined(cell):
        value = names.get(name)
        if not isinstance(value, Node | NodeSpec) and not callable(value):
            continue
        for run, state in sorted(states.items()):
            if changed := _changed(state, value):
                what = ", ".join(changed)
                yield f"{run}: the code of {what} has changed; run.reload({name}) proposes it, what runs finishes first"


def _defined(cell: str) -> list[str]:
    """The functions that a cell defines, each once, in order; of what is no Python none."""
    code = "".join("\n" if line.startswith(("%", "!")) else line for line in cell.splitlines(keepends=True))
    try:
        body = ast.parse(code).body
    except SyntaxError:  # other languages
        return []
    return list(dict.fromkeys(s.name for s in body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)))


def _changed(state: RunState, value: Any) -> list[str]:
    try:
        code = spec_of(value).code.digest
        return [name for name in nodes_of(state.dag, value) if state.dag.nodes[name].code.digest != code]
    except DagError:  # a function that could be no node
        return []
