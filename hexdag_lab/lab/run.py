"""`Run`: a run as people hold it in a notebook."""

from __future__ import annotations

import asyncio
import pdb
import time
from collections.abc import Callable, Generator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from ..agents import Agent, name_of
from ..core.base.errors import DagError, HexdagError, Refused, RunFailed, StaleBase
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.dag.node import exact
from ..core.dag.node import name_of as node_name
from ..core.dag.reload import reloaded
from ..core.machine import messages as ms
from ..core.machine.chronicle import Entry, chronicle
from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..core.machine.story import story
from ..core.runs.run import RunStatus
from ..core.votes.budget import Budget
from ..core.votes.steer import GRACE, End, Move, Steer
from ..runtime.feed import Feed
from ..runtime.log import Line
from ..runtime.tracing import Spans
from ..runtime.view import RunView
from .inputs import checked_place, inputs_of
from .proposal import ProposalHandle
from .show import run_bundle
from .waiting import awaited, people_only, wait


class Run:
    """A run of a lab: `run.status`, `run.nodes["fit"]`, `run.propose(...)`, `run.wait()` or `await run`.

    What it shows is what the controller has published: it never waits for it. It has all that a `RunView` has:

    status, dag, versions, diff(1, 2)    where it is, and what became of the graph
    nodes, why("fit")                    each node's state, why, attempt, version, worker, seconds, code_hash
    result("fit"), results()             what has finished; never waits
    agents, seq                          who takes part, and the number of the last event
    budget, spent, limits, used          what it may cost and has cost; the same with time and nodes
    """

    def __init__(self, lab: Any, id_: str) -> None:
        self._lab, self.id = lab, id_

    @property
    def feed(self) -> Feed:
        """The published states of the run, for screens that follow it."""
        feed: Feed = self._lab.feed(self.id)
        return feed

    @property
    def view(self) -> RunView:
        """The run at this moment, to be read."""
        return RunView(self.feed.state, self._lab.doors.reader(self.id), self._lab.owner.id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.view, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(RunView) if not name.startswith("_"))})

    def why(self, node: Any) -> str | None:
        """Why a node does not move, in one sentence; None while it moves or is done."""
        name = node_name(node)
        self.view.node(name)
        return self.view.why(name)

    @property
    def proposals(self) -> dict[str, ProposalHandle]:
        """All proposals by id, in the order they were made."""
        return {id_: self.proposal(id_) for id_ in self.view.proposals}

    def proposal(self, id_: str) -> ProposalHandle:
        """The proposal of that id."""
        if id_ not in self.feed.state.proposals:
            text = f"there is no proposal {id_!r} in run {self.id}"
            raise Refused(text, rule="unknown-proposal", fix="see run.proposals")
        return ProposalHandle(self._lab, self.id, id_)

    # -- changing it

    def propose(
        self,
        change: Changeset | Dag,
        by: Agent | str | None = None,
        reason: str = "",
        priority: int = 0,
        apply_from: str = "now",
        *,
        in_reply_to: ProposalHandle | str = "",
    ) -> ProposalHandle:
        """Put a change to the vote; returns at once. Raises `StaleBase`, `NotAllowed`, `AlreadyDecided`, `DagError`.

        A change that fails its checks is not an error: it comes back REJECTED with `p.checks`.

        apply_from    "now"; "after:NODE", when that node is done; "wave", when the wave that is worked on is done
        in_reply_to   a proposal of the same proposer that this one takes the place of
        """
        if apply_from not in ("now", "wave") and not str(apply_from).startswith("after:"):
            raise ValueError(f'apply_from is "now", "wave" or "after:NODE", not {apply_from!r}')
        if isinstance(priority, bool) or not isinstance(priority, int):
            raise TypeError(f"priority is a whole number, not {priority!r}")
        changeset = self._changeset(change)
        if changeset.empty:
            raise DagError("this change changes nothing")
        shipped, why = self._lab.shipping.changeset(changeset), reason or changeset.reason
        old = getattr(in_reply_to, "id", in_reply_to) or changeset.in_reply_to
        return self._proposed(by, shipped, why, priority=priority, apply_from=apply_from, in_reply_to=old)

    def raise_budget(
        self,
        *,
        seconds: float | None = None,
        cost: Any = None,
        nodes: int | None = None,
        by: Agent | str | None = None,
        reason: str = "",
    ) -> ProposalHandle:
        """Propose to raise what the run may use, by these amounts; one that paused for it goes on once approved.

        Raises `Refused` for what the run's budget does not limit."""
        raises = Budget(seconds, None if cost is None else exact(cost, "cost"), nodes)
        return self._proposed(by, Changeset.on(self.view.dag), reason, raises=raises)

    def _proposed(self, by: Agent | str | None, changeset: Changeset, reason: str, **how: Any) -> ProposalHandle:
        who = name_of(by or self._lab.owner)
        for number in count(len(self.feed.state.proposals) + 1):
            id_ = f"{self.id}/p{number}"
            if id_ in self.feed.state.proposals:
                continue  # the same id again would be the same proposal
            message = ms.Propose(time.time(), id_, changeset, who, reason, **how)
            try:
                self._lab.command(self.id, message)
            except Refused as refused:
                if refused.rule != "id-taken":
                    raise
                continue
            self.feed.until(partial(_has, id_)).result(30)
            break
        return self.proposal(id_)

    def _changeset(self, change: Changeset | Dag) -> Changeset:
        if isinstance(change, Changeset):
            return change
        if not isinstance(change, Dag):
            raise TypeError(f"propose a Changeset or a Dag, not {type(change).__name__}")
        for version in reversed(self.feed.state.versions):
            if change.descends_from(version.digest):
                return Changeset.between(version.dag, change)
        text = "this graph was not made from a version of this run"
        raise StaleBase(text, rule="stale-base", fix="edit run.dag, or use Changeset.on(run.dag)")

    def reload(self, fn: Any, by: Agent | str | None = None, reason: str = "") -> ProposalHandle:
        """Propose new code for the node of a function's name, and for those made of it with `as_node`.

        What runs finishes on the old code, the next attempt has the new one on whatever worker, and finished results
        stay. Raises `UnknownNode`, and `UnboundParameter` if it does not take what the graph gives to it."""
        change = reloaded(self.view.dag, fn)
        return self.propose(change, by=by, reason=reason or f"new code for {', '.join(change.changed)}")

    def migrate(
        self,
        node: Any,
        to: Any = None,
        by: Agent | str | None = None,
        reason: str = "",
        *,
        grace: float = GRACE,
        restart: bool = False,
    ) -> ProposalHandle:
        """Propose that a node goes on on another worker, `to`: its id, or its row in `lab.workers()`; None: any other
        that can run it, and where there is none, the one that it had.

        A node moves from safe point to safe point: where it yields, or calls `ctx.checkpoint(state)`. One that reaches
        none within `grace` seconds, as on a frozen worker, goes on from the last one. A plain function has none: it can
        only begin anew (`restart=True`). Raises `Refused` for a worker that is not there, or cannot run the node."""
        name = node_name(node)
        place = checked_place(self._lab.workers(), to, self.view.dag.nodes.get(name))
        return self._steered(Move(name, place, float(grace), restart), by, reason)

    def _steered(self, steers: Steer, by: Agent | str | None, reason: str) -> ProposalHandle:
        return self._proposed(by, Changeset.on(self.view.dag), reason, steers=steers)

    def pause(self, by: Agent | str | None = None) -> None:
        """Start nothing more until `resume`; what runs goes on."""
        self._steer(ms.Pause, by)

    def resume(self, by: Agent | str | None = None) -> None:
        """Go on after `pause`."""
        self._steer(ms.Resume, by)

    def cancel(self, by: Agent | str | None = None, reason: str = "") -> ProposalHandle:
        """Propose that the run ends now; finished results stay. Under the preset `solo` its owner just ends it."""
        return self._steered(End(), by, reason)

    def _steer(self, kind: Any, by: Agent | str | None) -> None:
        self._lab.command(self.id, kind(time.time(), name_of(by or self._lab.owner)))

    def fork(self, at: int | None = None, run_id: str | None = None) -> Run:
        """A new run from the state at a seq (default: now): the same graph and inputs, finished results taken over."""
        forked: Run = self._lab.fork(self._at(at) if at is not None else self.feed.state, run_id)
        return forked

    # -- waiting

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """The results, by node, when the run has ended.

        Raises `RunFailed`, TimeoutError, and `WouldBlock` in a cell when only a click could end it."""
        wait(self.feed, lambda state: state.over, timeout, people_only)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._awaited().__await__()

    async def _awaited(self) -> dict[str, Any]:
        await awaited(self.feed, lambda state: state.over, people_only)
        return await asyncio.to_thread(self._outcome)

    def _outcome(self) -> dict[str, Any]:
        view = self.view
        if view.status is RunStatus.SUCCEEDED:
            return view.results()
        bad = [f"{name}: {node.failure}" for name, node in view.nodes.items() if node.state == "FAILED"]
        text = f"run {self.id} is {view.status}" + (f" ({'; '.join(bad)})" if bad else "")
        raise RunFailed(text, self._partial(view))

    def _partial(self, view: RunView) -> dict[str, Any]:
        """What finished of a run that ended badly; a result that cannot be had any more is left out."""
        found = {}
        for name, node in view.nodes.items():
            if node.state == "SUCCEEDED":
                try:
                    found[name] = view.result(name)
                except (HexdagError, OSError):
                    continue
        return found

    # -- looking back

    def events(self, after: int = 0) -> tuple[Any, ...]:
        """The events with seq > after, in order."""
        return tuple(self.feed.events[max(0, after) :])

    def log(self, node: Any = None) -> tuple[Line, ...]:
        """The last lines that a node, or all nodes, have said or printed, in the order they came.

        Each has `.at .node .attempt .text .stream`; as text it is "fit | epoch 3". They are bounded and not in the
        journal: `.left_out` says how many lines of that node before this one are not here."""
        name = None if node is None else node_name(node)
        if name is not None:
            self.view.node(name)
        found: tuple[Line, ...] = self.feed.log.lines(name)
        return found

    def observe(self, fn: Callable[[Any], None], *, notes: bool = False) -> Callable[[], None]:
        """Call `fn(event)` for each event from now on, on another thread; the returned function ends that.

        `notes`: also for each `Note`, which is what running nodes tell and print: `.node .at .text .fraction .stream`,
        in order, and `.left_out`, how many before it were too many. A slow or failing function stalls nobody."""
        stop: Callable[[], None] = self.feed.observe(fn, notes)
        return stop

    def trace(self, provider: Any = None) -> Callable[[], None]:
        """Make OpenTelemetry spans of what has happened and will: the run, attempts of nodes, proposals, votes.

        `provider`: an OpenTelemetry tracer provider; default: the process's own. The returned function ends it."""
        spans = Spans(self.events, provider)
        stop = self.observe(spans)
        spans.catch_up()
        return stop

    def chronicle(self) -> tuple[Entry, ...]:
        """The events of all regions in the order in which they happened, each with `.event .region .at .late`; those
        that were heard of late say by how many seconds. `events()` are in the order in which they were journaled."""
        return chronicle(self.events())

    def story(self, node: Any) -> list[str]:
        """What happened to a node, one line an event."""
        name = node_name(node)
        self.view.node(name)
        return story(self.events(), name)

    def at(self, seq: int) -> RunView:
        """The run as it was after event `seq`; nothing is executed again."""
        return RunView(self._at(seq), self._lab.doors.reader(self.id), self._lab.owner.id)

    def _at(self, seq: int) -> RunState:
        events = self.events()
        if not 1 <= seq <= len(events):
            raise ValueError(f"run {self.id} has events 1 to {len(events)}, and no {seq}")
        state = RunState()
        for event in events[:seq]:
            state = evolve(state, event)
        return state

    def report(self, path: str | Path) -> Path:
        """Write all of the run as it is now into one HTML file, with a slider over time; where it is.

        The file asks no server for anything, and nothing can be decided in it. Raises `OSError`."""
        from ..views.report import report

        standings = {name: self._lab.trust(name) for name in self.feed.state.seats}
        file = Path(path)
        file.write_text(report(self.events(), self.feed.log.lines(), standings, self._lab.owner.id), "utf-8")
        return file

    def inputs(self, node: Any) -> dict[str, Any]:
        """The values that a node gets: its params, the run's inputs, and the results of its upstreams.

        Raises `NotFinished` where an upstream has no result."""
        name = node_name(node)
        self.view.node(name)
        return inputs_of(self.view, name, self._lab.shipping.read)

    def debug(self, node: Any, call: Callable[..., Any] = pdb.runcall) -> Any:
        """Run a node here, on its real inputs, under pdb; its result. Nothing of the run changes.

        `call(fn, *args, **kwargs)` runs it another way: a profiler, or a plain call."""
        name = node_name(node)
        values = self.inputs(name)
        spec = self.view.dag.nodes[name]
        fn = spec.fn or self._lab.shipping.node_code(spec).fn
        positional = [values.pop(p.name) for p in spec.code.params if p.kind == "positional" and p.name in values]
        many = [values.pop(p.name) for p in spec.code.params if p.kind == "many" and p.name in values]
        return call(fn, *positional, **values, **(many[0] if many else {}))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return run_bundle(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and (self._lab, self.id) == (other._lab, other.id)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        view = self.view
        done = sum(node.state == "SUCCEEDED" for node in view.nodes.values())
        return f"<Run {self.id}: {view.status}, v{view.state.version}, {done}/{len(view.nodes)} nodes>"


def _has(proposal: str, state: RunState) -> bool:
    return proposal in state.proposals
