"""What a model is told of a run, within a budget of tokens; and how text that nobody vouches for is framed.

First the head: version, counts, what is left of the budget. Then the unfinished waves, folded by operation. Then the
nodes around the focus, nearest first, as far as the tokens go. Results and what others wrote stand in frames that they
cannot close, cut short: data, and no orders. Nothing here is trusted to keep a model from obeying it: what a model may
do is decided by checks and by the form of its answers.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.dag.node import NodeSpec
from ..core.machine.state import RunState
from ..core.runs.run import SETTLED, NodeRecord, NodeState
from ..core.votes.proposal import Proposal

TOKENS = 1500
PREVIEW = 60  #: characters of a value
WORDS = 600  #: characters of what somebody wrote
MOST_DIFF = 40  #: lines of a change
_PLAIN = re.compile(r"[\w.+-]{1,40}|'[\w.+-]{0,40}'")  #: values that say nothing
_NO_NAME = re.compile(r"[^\w .:/@-]")
_PIECE = re.compile(r"[A-Za-z]+|\s+|.", re.DOTALL)
#: which nodes are looked at first, where nobody says: what failed, then what runs
_ORDER = (NodeState.FAILED, NodeState.SUSPENDED, NodeState.RUNNING, NodeState.READY, NodeState.BLOCKED)

Preview = Callable[[str], str | None]
"""`preview(node)`: the beginning of its result as text, or None."""


def tokens_of(text: str) -> int:
    """How many tokens a text comes to, rather too many than too few: a model's own tokenizer is not at hand."""
    return sum(_tokens(piece) for piece in _PIECE.findall(text))


def _tokens(piece: str) -> int:
    if piece.isspace():
        return piece.count("\n") or (len(piece) > 1)
    return -(-len(piece) // 4) if piece.isascii() else len(piece.encode())


def framed(text: Any, origin: str, most: int = WORDS) -> str:
    """A text of somebody else as data: in a frame that it cannot close, in one line, cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: most * 4]).split())
    cut = line if len(line) <= most else line[: most - 1] + "…"
    by = _NO_NAME.sub("_", origin)[:PREVIEW]
    return f'<untrusted from="{by}">{cut.replace("<", "&lt;").replace(">", "&gt;")}</untrusted>'


def brief(
    state: RunState, focus: Iterable[str] = (), tokens: int = TOKENS, preview: Preview = lambda node: None
) -> str:
    """The run in at most so many tokens, beginning at the nodes of `focus`."""
    lines = _Lines(tokens)
    lines.add(_head(state))
    lines.portion(tokens // 4, _waves(state))
    near = [name for name in focus if name in state.nodes] or _first(state)
    if near:
        lines.add("nodes, nearest first:")
        shown = lines.portion(tokens, (_node(state, name, preview) for name in _around(state.dag, near, None)))
        if shown < len(state.nodes):
            lines.add(f"… and {len(state.nodes) - shown} more nodes", reserved=True)
    return lines.text


def neighbourhood(state: RunState, focus: str, depth: int, tokens: int = TOKENS) -> str:
    """The nodes within so many steps of one, as far as the tokens go; or what there is, if it is not there."""
    if focus not in state.nodes:
        there = ", ".join(sorted(state.nodes)[:20])
        return f"there is no node {focus!r}; there are {there}"
    lines = _Lines(tokens)
    lines.portion(tokens, (_node(state, name, lambda _: None) for name in _around(state.dag, [focus], depth)))
    return lines.text


class _Lines:
    """Lines within a budget of tokens, with room for a last one that says what is missing."""

    RESERVE = 12

    def __init__(self, tokens: int) -> None:
        self._left = tokens - self.RESERVE
        self._lines: list[str] = []

    def add(self, line: str, reserved: bool = False) -> bool:
        """Add a line, if there is room for it."""
        cost = tokens_of(line) + 1
        if cost > self._left + (self.RESERVE if reserved else 0):
            return False
        self._left -= cost
        self._lines.append(line)
        return True

    def portion(self, most: int, lines: Iterator[str]) -> int:
        """Add lines as long as there is room, and as they come to so many tokens; how many they were."""
        before, count = self._left, 0
        for line in lines:
            if before - self._left >= most or not self.add(line):
                break
            count += 1
        return count

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


def _head(state: RunState) -> str:
    counts = Counter(rec.state.value.lower() for rec in state.nodes.values())
    found = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    return f"run {state.run}, version {state.version}: {len(state.nodes)} nodes ({found}). {_budget(state)}"


def _budget(state: RunState) -> str:
    limits, used = state.budget, state.used(state.at)
    if limits is None:
        return "No budget limits it."
    left = []
    if limits.cost is not None:
        left.append(f"cost {float(max(Fraction(0), limits.cost - (used.cost or 0))):.4g} of {float(limits.cost):.4g}")
    if limits.nodes is not None:
        left.append(f"{max(0, limits.nodes - (used.nodes or 0))} of {limits.nodes} nodes")
    if limits.seconds is not None:
        left.append(f"{max(0.0, limits.seconds - (used.seconds or 0.0)):.0f} s of {limits.seconds:.0f} s")
    return f"Budget left: {', '.join(left)}."


def _waves(state: RunState) -> Iterator[str]:
    """What is left, wave by wave: "wave 3: 40 fit (12 running, 28 ready), report"."""
    waves: dict[int, dict[str, Counter[str]]] = {}
    single: dict[tuple[int, str], str] = {}
    for name, rec in state.nodes.items():
        if rec.state not in SETTLED:
            wave, kind = state.dag.level(name), state.dag.entries[name].spec.code.name.rpartition(".")[2]
            waves.setdefault(wave, {}).setdefault(kind, Counter())[rec.state.value.lower()] += 1
            single[wave, kind] = name
    for wave, kinds in sorted(waves.items()):
        parts = []
        for kind, counts in sorted(kinds.items()):
            total = counts.total()
            said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
            parts.append(single[wave, kind] if total == 1 else f"{total} {kind} ({said})")
        yield f"left in wave {wave}: {', '.join(parts[:12])}{', …' if len(parts) > 12 else ''}"


def _first(state: RunState) -> list[str]:
    found: list[str] = []
    for wanted in _ORDER:
        found += sorted(name for name, rec in state.nodes.items() if rec.state is wanted)
    return found[:20] or sorted(state.nodes)[:20]


def _around(dag: Dag, focus: Iterable[str], depth: int | None) -> Iterator[str]:
    """Nodes by their distance from some, up and down, each once."""
    todo = deque((name, 0) for name in focus)
    seen = {name for name, _ in todo}
    while todo:
        name, far = todo.popleft()
        yield name
        if depth is None or far < depth:
            for near in sorted({*dag.dependencies(name), *dag.dependents(name)} - seen):
                seen.add(near)
                todo.append((near, far + 1))


def _node(state: RunState, name: str, preview: Preview) -> str:
    entry, rec = state.dag.entries[name], state.nodes[name]
    ups, downs = sorted(wire.up for wire in entry.wires), sorted(state.dag.dependents(name))
    line = f"- {name} [{rec.state.value.lower()}] {call_text(entry.spec)}"
    line += f" <- {_names(ups)}" if ups else ""
    line += f" -> {_names(downs)}" if downs else ""
    return line + _came_of(name, rec, preview)


def _came_of(name: str, rec: NodeRecord, preview: Preview) -> str:
    if rec.failure is not None and rec.state is NodeState.FAILED:
        return f" failed: {framed(rec.failure, f'error of {name}', PREVIEW * 2)}"
    shown = preview(name) if rec.state is NodeState.SUCCEEDED else None
    return f" = {framed(shown, f'result of {name}', PREVIEW)}" if shown is not None else ""


def _names(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f", … {len(names) - most} more" if len(names) > most else "")


def call_text(spec: NodeSpec) -> str:
    """A node as a call: "fit(C=0.5)". Values that are more than a number or a word are framed: they are data, too."""
    params = ", ".join(f"{key}={_value(value)}" for key, value in spec.params.items())
    return f"{spec.code.name.rpartition('.')[2]}({params})"


def _value(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else repr(value)
    return text if _PLAIN.fullmatch(text) else framed(text, "a parameter", PREVIEW)


def diff_text(changeset: Changeset, dag: Dag, most: int = MOST_DIFF) -> str:
    """A change as the lab sees it, line by line; `dag` is the graph it is made on."""
    lines = []
    for name in changeset.added:
        spec = changeset.nodes[name].new
        ups = sorted(up for (up, down), edge in changeset.edges.items() if down == name and edge.new)
        lines.append(f"+ {name}: {call_text(spec) if spec else ''}" + (f" <- {_names(ups)}" if ups else ""))
    lines += [f"- {name}: {call_text(dag.nodes[name])}" if name in dag else f"- {name}" for name in changeset.removed]
    for name in changeset.changed:
        new = changeset.nodes[name].new
        old = call_text(dag.nodes[name]) if name in dag else "?"
        lines.append(f"~ {name}: {old} becomes {call_text(new) if new else ''}, code {_code(new)}")
    told = {*changeset.added, *changeset.removed}
    for sign, edges in (("+", changeset.edges_added), ("-", changeset.edges_removed)):
        lines += [f"{sign} edge {up} -> {down}" for up, down in edges if down not in told]
    return "\n".join([*lines[:most], *([f"… {len(lines) - most} more lines"] if len(lines) > most else [])])


def _code(spec: NodeSpec | None) -> str:
    return "" if spec is None else spec.code.digest.hex()[:12]


def proposal_text(proposal: Proposal, state: RunState, tokens: int = TOKENS) -> str:
    """A proposal: what the lab has computed of it, and last, framed, what its proposer says."""
    what = diff_text(proposal.changeset, state.dag) if proposal.raises is None else f"more budget: {proposal.raises}"
    lines = [f"Proposal {proposal.id} by {proposal.by}, {proposal.kind}. The change, as the lab has computed it:", what]
    effect = proposal.effect
    if effect is not None:
        lines.append(f"Effect: {effect}. Cost of what it starts: {float(effect.cost):g}.")
        if effect.estimate is not None:
            later, cost = effect.estimate.later, effect.estimate.cost
            lines.append(
                f"Estimate (P50, P90): ends {later[0]:.0f} s, {later[1]:.0f} s later; costs {cost[0]:.3g} more."
            )
    if proposal.checks:
        lines.append(
            "Checks: " + "; ".join(f"{'holds' if c.ok else 'FAILS'}: {c.message or c.rule}" for c in proposal.checks)
        )
    lines.append(f"What the proposer says for it: {framed(proposal.reason or 'nothing', proposal.by)}")
    return "\n".join(_cut(lines, tokens))


def _cut(lines: list[str], tokens: int) -> list[str]:
    """The lines within a budget; the first ones and the last one count most."""
    left = tokens - tokens_of(lines[-1])
    kept = []
    for line in lines[:-1]:
        while tokens_of(line) > left and len(line) > PREVIEW:
            line = line[: len(line) // 2] + "…"
        if tokens_of(line) <= left:
            left -= tokens_of(line)
            kept.append(line)
    return [*kept, lines[-1]]
