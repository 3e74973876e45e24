"""A run as rows, marks and cards: plain data, made of one state. No colours, no widgets, no clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from fractions import Fraction
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from ..core.dag.changeset import Changeset
from ..core.dag.conflict import Conflict
from ..core.dag.dag import Dag
from ..core.machine.landing import waiting
from ..core.machine.state import RunState
from ..core.machine.why import why
from ..core.runs.estimate import mean_seconds, work
from ..core.runs.plan import plan
from ..core.runs.run import SETTLED, STARTED, NodeRecord, NodeState
from ..core.votes.ballot import Ballot
from ..core.votes.policy import Policy, Verdict
from ..core.votes.proposal import ENVELOPE, MEANING, Effect, Proposal, ProposalState
from ..core.votes.weighing import ORCHESTRATORS, voting_weight
from . import wording

#: states by shape: readable without colour
MARKS: dict[NodeState, str] = {
    NodeState.WAITING: "○",
    NodeState.READY: "◌",
    NodeState.RUNNING: "▶",
    NodeState.SUSPENDED: "‖",
    NodeState.SUCCEEDED: "✓",
    NodeState.FAILED: "✕",
    NodeState.CANCELLED: "–",
    NodeState.SKIPPED: "»",
    NodeState.BLOCKED: "■",
}


class NodeRow(NamedTuple):
    """A node in its wave. `new`: it was added by the head version."""

    name: str
    state: NodeState
    mark: str
    note: str
    new: bool


class Header(NamedTuple):
    """The line above a run."""

    run: str
    status: str
    version: int
    done: int
    nodes: int
    running: int
    open: int


class Card(NamedTuple):
    """An open or decided proposal, as text in parts. Words of agents are cleaned, and never trusted.

    changes   one line for each node and each edge between nodes that stay; the first character is +, - or ~
    settles   what time does to it: "rejects itself", "accepts itself", or empty
    kind      add_node, add_subgraph, replace_node, remove, rewire, composite or budget
    outlook   what it changes as P50 and P90, what is lost, and how far an approval goes
    standing  what has become of it: what it waits for, how the graph moved on, what changes are asked for
    source    what it changes of parameters that are texts of several lines, such as code: all lines, with + and -
    """

    id: str
    title: str
    reason: str
    changes: tuple[str, ...]
    effect: str
    estimate: str
    checks: tuple[tuple[bool, str], ...]
    votes: tuple[str, ...]
    tally: str
    state: str
    seconds_left: float | None
    settles: str = ""
    kind: str = ""
    outlook: str = ""
    standing: tuple[str, ...] = ()
    source: tuple[str, ...] = ()

    @property
    def countdown(self) -> str:
        """What time does to it, and when: "rejects itself in 01:58"; empty if nothing."""
        return (
            ""
            if self.seconds_left is None
            else f"{self.settles or 'settles itself'} in {wording.clock(self.seconds_left)}"
        )


MOST_CHANGES = 12  #: lines of changes on a card
MOST_OF_NODE, MOST_LINES = 6, 40  #: lines that are shown of a node, and of a run
LONGEST_REASON, LONGEST_VOTE = 300, 120  #: characters of a proposal's reason, and of a ballot's, on a card
#: what a check that holds is called on a card; one that does not says all it has to say
HOLDS = {
    "acyclic": "acyclic",
    "frozen": "no work thrown away",
    "inputs": "parameters filled",
    "capability": "workers can run it",
    "budget": "within the budget",
}


def header(state: RunState) -> Header:
    records = list(state.nodes.values())
    done = sum(rec.state in SETTLED for rec in records)
    running = sum(rec.state is NodeState.RUNNING for rec in records)
    return Header(state.run, state.status.value, state.version, done, len(records), running, len(state.open))


def wave(state: RunState) -> tuple[int, int]:
    """Which wave is worked on, and how many there are: 1, 2, ..."""
    dag = state.dag
    open_ = [dag.level(name) for name, rec in state.nodes.items() if rec.state not in SETTLED]
    last = len(dag.waves)
    return (min(open_) + 1 if open_ else last), last


def seconds_left(state: RunState) -> float | None:
    """An estimate of what is left, from what the same code took so far; None where nothing is known."""
    means = mean_seconds(state.dag, state.nodes.items())
    open_ = [name for name, rec in state.nodes.items() if rec.state not in SETTLED]
    if state.over or not means or not open_:
        return None
    seconds, _ = work([state.dag.nodes[name] for name in open_], means)
    return seconds / max(1, min(state.slots, len(open_)))


def waves(state: RunState) -> tuple[tuple[NodeRow, ...], ...]:
    """The nodes by wave, each wave sorted."""
    head = state.version
    before = state.versions[-2].dag if head > 1 else None
    found = []
    for names in state.dag.waves:
        rows = []
        for name in names:
            rec = state.nodes[name]
            note = " · ".join(part for part in (why(state, name) or _took(rec), *_besides(state, name)) if part)
            rows.append(NodeRow(name, rec.state, MARKS[rec.state], note, before is not None and name not in before))
        found.append(tuple(rows))
    return tuple(found)


def _took(rec: NodeRecord) -> str:
    return f"{rec.seconds:.1f} s" if rec.state is NodeState.SUCCEEDED else ""


def _besides(state: RunState, name: str) -> Iterator[str]:
    """What else there is to know of a node: a result that a dead worker would take along, code of before a reload, a
    move that is under way."""
    rec, spec = state.nodes[name], state.dag.entries[name].spec
    if rec.result is not None and rec.result.where == "pool":
        yield "not kept" if spec.durable is False else "not yet kept"
    now = spec.code.digest.hex()
    if rec.code and rec.code != now and rec.state in STARTED:
        yield f"code {rec.code[:8]}, now {now[:8]}"
    if name in state.moves:
        yield f"moves to {state.moves[name].to or 'another worker'}"


def card(state: RunState, proposal: Proposal, now: float, viewer: str = "") -> Card:
    """A proposal with everything that a decision needs; where ballots are sealed, as `viewer` may see them."""
    tally = proposal.tally(state.policy, now, viewer)
    effect = proposal.effect
    left, settles = _deadline(state, proposal, now)
    return Card(
        proposal.id,
        f"{wording.clean(proposal.by, 40)} proposes {proposal.summary}, against v{proposal.base}",
        wording.clean(proposal.reason, LONGEST_REASON),
        changes(proposal.changeset, state.dag),
        effect_text(effect) if effect else f"the run may use {proposal.raises} more" if proposal.raises else "",
        _estimate(state, proposal) if effect else "",
        tuple(
            (check.ok, HOLDS.get(check.rule, check.message) if check.ok else str(check)[4:])
            for check in proposal.checks
        ),
        tuple(_vote(ballot, proposal, state.policy) for ballot in tally.ballots),
        tally.text or MEANING[proposal.state],
        proposal.state.value,
        left,
        settles,
        proposal.kind,
        _outlook(effect) if effect else "",
        standing(state, proposal),
        sources(proposal.changeset, state.dag),
    )


def standing(state: RunState, proposal: Proposal) -> tuple[str, ...]:
    """What there is to say beyond its state: why an approval became void, what it waits for, how the graph moved on,
    what changes are asked for."""
    said = []
    if proposal.state is ProposalState.OPEN and proposal.why:
        said.append(f"voted on anew, earlier ballots are void: {wording.clean(proposal.why, 200)}")
    if held := waiting(state, proposal):
        said.append(f"approved, waits for {', '.join(held[:3])}{f' and {len(held) - 3} more' * (len(held) > 3)}")
    elif proposal.apply_from != "now" and not proposal.terminal:
        said.append(f"to be applied {_FROM.get(proposal.apply_from, proposal.apply_from.replace(':', ' '))}")
    if moved := _moved_on(state, proposal):
        said.append(moved)
    if proposal.in_reply_to:
        said.append(f"takes the place of {wording.clean(proposal.in_reply_to, 80)}")
    for request in proposal.requests:
        where = f" on {', '.join(request.nodes[:5])}" if request.nodes else ""
        said.append(
            f"{wording.clean(request.by, 40)} asks for changes{where}: "
            f"{wording.clean(request.text, 200) or 'no reason given'}"
        )
    return tuple(said)


_FROM = {"wave": "when the wave that is worked on then is done"}


def _moved_on(state: RunState, proposal: Proposal) -> str:
    """What becomes of it, if it is approved now, by what has happened since it was examined."""
    if not proposal.changes_graph or proposal.effect is None:
        return ""
    if proposal.version is not None:
        head = proposal.version - 1
        moved = 0 < proposal.checked < head
        return f"revalidated at v{head}: the same change, nothing more lost" if moved else ""
    if proposal.terminal or not proposal.checked:
        return ""
    rebased = proposal.changeset.rebase(state.dag)
    if isinstance(rebased, Conflict):
        return f"does not fit v{state.version}: {rebased}"
    if rebased.empty:
        return f"nothing left to do: v{state.version} has it already"
    if rebased.digest != proposal.changeset.digest:
        return f"part of it is in v{state.version} already: once approved, the rest is voted on anew"
    assert rebased.target is not None
    made = plan(state.dag, rebased.target, rebased, state.nodes.get)
    if made.refusals:
        return f"{made.refusals[0].message}: as it is, it would be rejected"
    if not set(made.losses) <= set(proposal.effect.losses):
        return "it now throws away other work than it says here: once approved, it is voted on anew"
    moved = state.version != proposal.checked
    return f"revalidated at v{state.version}: the same change, nothing more lost" if moved else ""


def waits_for_person(state: RunState, proposal: Proposal) -> bool:
    """Whether an open proposal needs somebody who is no function."""
    people = {name for name, seat in state.seats.items() if seat.human and seat.votes is None}
    return not proposal.terminal and bool(people & set(proposal.tally(state.policy, state.at).needs))


def changes(changeset: Changeset, dag: Dag, most: int = MOST_CHANGES) -> tuple[str, ...]:
    """A change line by line: "+ fit_10 (C=2.83, gamma=0.022) after board, split". `dag` is the graph it is made on."""
    lines = []
    for sign, names in (("+", changeset.added), ("-", changeset.removed), ("~", changeset.changed)):
        for name in names:
            spec = changeset.nodes[name].new or dag.nodes.get(name)
            params = ", ".join(f"{key}={_short(value)}" for key, value in spec.params.items()) if spec else ""
            after = ", ".join(sorted(up for (up, down), edge in changeset.edges.items() if down == name and edge.new))
            line = f"{sign} {name}"
            line += f" ({params})" if params and sign != "-" else ""
            lines.append(line + (f" after {after}" if after and sign == "+" else ""))
    told = {*changeset.added, *changeset.removed}
    for sign, edges in (("+", changeset.edges_added), ("-", changeset.edges_removed)):
        lines += [
            f"{sign} {up} -> {down}" for up, down in edges if down not in told and not (sign == "-" and up in told)
        ]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"… {len(lines) - most + 1} more"]
    return tuple(
        wording.clean(line, 200) if line.startswith("…") else line[:2] + wording.clean(line[2:], 200) for line in lines
    )


def sources(changeset: Changeset, dag: Dag) -> tuple[str, ...]:
    """What a change does to parameters that are texts of several lines, line by line, with the SHA-256 of each."""
    lines = []
    for name in (*changeset.added, *changeset.changed):
        new, old = changeset.nodes[name].new, dag.nodes.get(name)
        for key, value in new.params.items() if new is not None else ():
            before = old.params.get(key, "") if old is not None else ""
            if isinstance(value, str) and "\n" in value and value != before:
                lines.append(f"{name}.{key}, SHA-256 {sha256(value.encode()).hexdigest()}:")
                was = before.splitlines() if isinstance(before, str) else []
                lines += list(unified_diff(was, value.splitlines(), lineterm="", n=3))[2:]
    return tuple(wording.plain(line) for line in lines)


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 24 else text[:23] + "…"


def effect_text(effect: Effect) -> str:
    """What it does to the work: what is thrown away by name, the rest by number."""
    parts = [f"keeps {effect.keep} done or running", f"starts {len(effect.start)}" if effect.start else ""]
    named = (("restarts", effect.restart), ("cancels", effect.cancel), ("re-runs", effect.rerun))
    lost = [
        f"{verb} {', '.join(names[:4])}{f' and {len(names) - 4} more' * (len(names) > 4)}"
        for verb, names in named
        if names
    ]
    return " · ".join(part for part in (*parts, *(lost or ["nothing thrown away"])) if part)


def _estimate(state: RunState, proposal: Proposal) -> str:
    effect = proposal.effect
    assert effect is not None
    text = f"{effect.seconds:.1f} s of work"
    limit = None if state.budget is None else state.budget.cost
    if not effect.cost and limit is None:
        return text
    text += f" · cost {float(effect.cost):g}"
    if limit is not None:
        text += f" of the {float(max(limit - state.spent(), Fraction(0))):g} left of {float(limit):g}"
    return text


def _outlook(effect: Effect) -> str:
    """What it changes, and how far an approval goes: P50 and P90."""
    parts = [f"{effect.lost:.1f} s of work lost"] if effect.lost else []
    found = effect.estimate
    if found is not None:
        parts.append(_shift(*found.later))
        parts += [f"costs {_pair(found.cost)} more"] if any(found.cost) else []
        bound = [f"{ENVELOPE * found.work[1]:.1f} s of work"] if found.known else []
        bound += [f"cost {ENVELOPE * found.spend[1]:.2f}"] if found.spend[1] else []
        parts += [f"approval covers {' and '.join(bound)}"] if bound else []
        parts += [] if found.known else ["such code has hardly run here yet"]
    if effect.waves is not None and effect.waves[0] != effect.waves[1]:
        parts.append(f"{effect.waves[1]} waves, were {effect.waves[0]}")
    return " · ".join(parts)


def _shift(later: float, at_worst: float) -> str:
    """When the run ends, against when it would: seconds, P50 and P90; negative is sooner."""
    if later >= 0:
        return f"ends {_pair((later, at_worst))} s later"
    return f"ends {-later:.1f} s sooner (P90 {abs(at_worst):.1f} s {'later' if at_worst > 0 else 'sooner'})"


def _pair(found: tuple[float, float]) -> str:
    return f"{found[0]:+.1f} (P90 {found[1]:+.1f})"


def _vote(ballot: Ballot, proposal: Proposal, policy: Policy) -> str:
    """A ballot with the weight that it has, which is none for advice."""
    assert proposal.electorate is not None
    if policy.learns():
        weight = policy.weights(proposal.electorate).get(ballot.voter, Fraction(0))
    else:
        seats = {seat.id: seat for seat in proposal.electorate.seats}
        weight = voting_weight(seats[ballot.voter], proposal.electorate, ORCHESTRATORS)
    said = f"{wording.clean(ballot.voter, 40)} {ballot.choice.value.replace('_', ' ')} "
    return (
        said
        + (f"({float(weight):.2f})" if weight else "(advice)")
        + (f' "{wording.clean(ballot.reason, LONGEST_VOTE)}"' if ballot.reason else "")
    )


def _deadline(state: RunState, proposal: Proposal, now: float) -> tuple[float | None, str]:
    """Seconds until an open proposal settles by itself, and how."""
    electorate = proposal.electorate
    if electorate is None or proposal.state is not ProposalState.OPEN:
        return None, ""
    at = state.policy.deadline(electorate)
    if at is None:
        return None, ""
    verdict = state.policy.evaluate(proposal.cast(), electorate, at).verdict
    return max(0.0, at - now), {Verdict.YES: "accepts itself", Verdict.NO: "rejects itself"}.get(verdict, "")


def whole(state: RunState, proposal: Proposal, viewer: str = "") -> str:
    """Line by line, the words on a proposal's card that had to be cut there; empty if none had."""
    said = [(proposal.by, proposal.reason, LONGEST_REASON)]
    said += [(ballot.voter, ballot.reason, LONGEST_VOTE) for ballot in proposal.seen_by(viewer, state.policy)]
    cut = [f"{by}: {text}" for by, text, most in said if len(text) > most]
    source = sources(proposal.changeset, state.dag)
    cut += source if len(source) > MOST_CHANGES else []
    return "\n".join(wording.plain(line) for text in cut for line in text.splitlines())


class WorkerRow(NamedTuple):
    """What a run's journal knows of a worker: the nodes that it runs now, and how many it has finished."""

    worker: str
    running: tuple[str, ...]
    done: int


def workers(state: RunState) -> tuple[WorkerRow, ...]:
    """The workers that have run a node's latest attempt, sorted."""
    running: dict[str, list[str]] = {}
    done: Counter[str] = Counter()
    for name, rec in sorted(state.nodes.items()):
        if rec.worker:
            running.setdefault(rec.worker, []).extend([name] * (rec.state is NodeState.RUNNING))
            done[rec.worker] += rec.state in SETTLED
    return tuple(WorkerRow(worker, tuple(names), done[worker]) for worker, names in sorted(running.items()))


class Line(Protocol):
    """A line that a node has said or printed; `left_out` lines of the same node before it are not there."""

    @property
    def node(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def left_out(self) -> int: ...


def tail(lines: Sequence[Line]) -> list[Line]:
    """The last lines: so many of a node, and so many of all."""
    of: Counter[str] = Counter()
    found = []
    for line in reversed(lines):
        of[line.node] += 1
        if of[line.node] <= MOST_OF_NODE:
            found.append(line)
        if len(found) == MOST_LINES:
            break
    return found[::-1]
