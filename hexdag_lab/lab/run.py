"""`Run`: a run as people hold it in a notebook."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from ..core.base.errors import DagError, Refused, RunFailed, StaleBase, UnknownNode
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.dag.wiring import MANY
from ..core.machine import messages as ms
from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..core.machine.story import story
from ..core.runs.run import RunStatus
from ..runtime.view import RunView
from .proposal import ProposalHandle
from .waiting import answer, people_only, wait


class Run:
    """A run of a lab: `run.status`, `run.nodes["fit"]`, `run.propose(...)`, `run.wait()` or `await run`.

    What it shows is what the controller has published: it never waits for it.
    """

    def __init__(self, lab: Any, id_: str) -> None:
        self._lab, self.id = lab, id_
        self._feed = lab.doors.feed(id_)

    @property
    def view(self) -> RunView:
        """The run at this moment, to be read."""
        return RunView(self._feed.state, self._lab.doors.reader(self.id))

    def __getattr__(self, name: str) -> Any:
        # status, dag, nodes, versions, agents, result, results, diff, why, spent, budget, seq: as the view has them
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.view, name)

    @property
    def proposals(self) -> dict[str, ProposalHandle]:
        """All proposals by id, in the order they were made."""
        return {id_: self.proposal(id_) for id_ in self.view.proposals}

    def proposal(self, id_: str) -> ProposalHandle:
        """The proposal of that id."""
        if id_ not in self._feed.state.proposals:
            raise Refused(
                f"there is no proposal {id_!r} in run {self.id}",
                rule="unknown-proposal",
                fix="see run.proposals",
            )
        return ProposalHandle(self._lab.doors, self.id, id_, self._lab.owner)

    # -- changing it

    def propose(
        self,
        change: Changeset | Dag,
        by: str | None = None,
        reason: str = "",
        priority: int = 0,
        apply_from: str = "now",
    ) -> ProposalHandle:
        """Put a change to the vote; returns at once. Raises `StaleBase`, `NotAllowed`, `AlreadyDecided`, `DagError`.

        A change that fails its checks is not an error: it comes back REJECTED with `p.checks`.
        """
        if apply_from != "now":
            raise ValueError(f'apply_from is "now" in this release, not {apply_from!r}')
        changeset = self._changeset(change)
        if changeset.empty:
            raise DagError("this change changes nothing")
        shipped = self._lab.shipping.changeset(changeset)
        reason = reason or changeset.reason
        number = len(self._feed.state.proposals) + 1
        while True:
            id_ = f"{self.id}/p{number}"
            message = ms.Propose(
                time.time(), id_, shipped, by or self._lab.owner, reason, priority, apply_from
            )
            try:
                answer(self._lab.doors.command(self.id, message))
            except Refused as refused:
                if refused.rule != "id-taken":
                    raise
                number += 1
                continue
            self._feed.until(lambda state: id_ in state.proposals).result(30)
            return self.proposal(id_)

    def _changeset(self, change: Changeset | Dag) -> Changeset:
        if isinstance(change, Changeset):
            return change
        if not isinstance(change, Dag):
            raise DagError(f"propose a Changeset or a Dag, not {type(change).__name__}")
        for version in reversed(self._feed.state.versions):
            if change.descends_from(version.digest):
                return Changeset.between(version.dag, change)
        raise StaleBase(
            "this graph was not made from a version of this run",
            rule="stale-base",
            fix="edit run.dag, or use Changeset.on(run.dag)",
        )

    def reload(self, fn: Any, by: str | None = None, reason: str = "") -> ProposalHandle:
        """Propose new code for the node of that name: running attempts finish on the old code, finished results stay."""
        name = fn.name if hasattr(fn, "name") else fn.__name__
        if name not in self.view.dag:
            raise UnknownNode(f"there is no node {name!r} in run {self.id}, so there is nothing to reload")
        change = Changeset.on(self.view.dag).replace_node(name, fn, running="finish_old", finished="keep")
        return self.propose(change, by=by, reason=reason or f"new code for {name}")

    def pause(self, by: str | None = None) -> None:
        """Start nothing more until `resume`; what runs goes on."""
        self._steer(ms.Pause, by)

    def resume(self, by: str | None = None) -> None:
        """Go on after `pause`."""
        self._steer(ms.Resume, by)

    def cancel(self, by: str | None = None) -> None:
        """End the run; finished results stay."""
        self._steer(ms.Cancel, by)

    def _steer(self, kind: Any, by: str | None) -> None:
        answer(self._lab.doors.command(self.id, kind(time.time(), by or self._lab.owner)))

    def fork(self, at: int | None = None, run_id: str | None = None) -> Run:
        """A new run from the state at a seq (default: now): the same graph and inputs, finished results taken over."""
        forked: Run = self._lab.fork(self._at(at) if at is not None else self._feed.state, run_id)
        return forked

    # -- waiting

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """The results, by node, when the run has ended.

        Raises `RunFailed`, TimeoutError, and `WouldBlock` in a cell when only a click could end it."""
        wait(self._feed, lambda state: state.over, timeout, people_only)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._awaited().__await__()

    async def _awaited(self) -> dict[str, Any]:
        await asyncio.wrap_future(self._feed.until(lambda state: state.over))
        return await asyncio.to_thread(self._outcome)

    def _outcome(self) -> dict[str, Any]:
        view = self.view
        results = view.results()
        if view.status is RunStatus.SUCCEEDED:
            return results
        bad = [
            f"{name}: {node.failure or node.why}"
            for name, node in view.nodes.items()
            if node.state == "FAILED"
        ]
        raise RunFailed(f"run {self.id} is {view.status}" + (f" ({'; '.join(bad)})" if bad else ""), results)

    # -- looking back

    def events(self, after: int = 0) -> tuple[Any, ...]:
        """The events with seq > after, in order."""
        return tuple(self._feed.events[after:])

    def observe(self, fn: Callable[[Any], None]) -> Callable[[], None]:
        """Call `fn(event)` for each event from now on, on another thread; the returned function ends that."""
        stop: Callable[[], None] = self._feed.observe(fn)
        return stop

    def story(self, node: str) -> list[str]:
        """What happened to a node, one line an event."""
        self.view.node(node)
        return story(self._feed.events, node)

    def at(self, seq: int) -> RunView:
        """The run as it was after event `seq`; nothing is executed again."""
        return RunView(self._at(seq), self._lab.doors.reader(self.id))

    def _at(self, seq: int) -> RunState:
        events = self._feed.events
        if not 1 <= seq <= len(events):
            raise ValueError(f"run {self.id} has events 1 to {len(events)}, and no {seq}")
        state = RunState()
        for event in events[:seq]:
            state = evolve(state, event)
        return state

    def inputs(self, node: str) -> dict[str, Any]:
        """The values that a node gets: its params, the run's inputs, and the results of its upstreams."""
        view = self.view
        view.node(node)
        spec, values = view.dag.nodes[node], dict[str, Any]()
        values |= spec.params
        wired = {w.param for w in view.dag.wires(node)}
        for param in spec.code.names():
            given = view.state.inputs.get(f"{node}.{param}")
            if given is None and param not in values and param not in wired:
                given = view.state.inputs.get(param)
            if given is not None:
                values[param] = self._lab.shipping.read(given)
        for wire in view.dag.wires(node):
            if wire.param == MANY:
                values.setdefault(str(spec.code.collector), {})[wire.up] = view.result(wire.up)
            elif wire.param is not None:
                values[wire.param] = view.result(wire.up)
        return values

    def __repr__(self) -> str:
        view = self.view
        done = sum(node.state == "SUCCEEDED" for node in view.nodes.values())
        return f"<Run {self.id}: {view.status}, v{view.state.version}, {done}/{len(view.nodes)} nodes>"


def check_inputs(dag: Dag, inputs: Mapping[str, Any]) -> None:
    """Raise `UnboundParameter` for inputs that match nothing, and for required parameters that get no value."""
    from ..core.base.errors import UnboundParameter

    takers = {name: entry.spec.code for name, entry in dag.entries.items()}
    for key in inputs:
        node, dot, param = key.partition(".")
        known = (
            takers[node].accepts(param)
            if dot and node in takers
            else any(key in c.names() for c in takers.values())
        )
        if not known:
            raise UnboundParameter(
                f"input {key!r} matches no parameter; the inputs are {', '.join(dag.inputs) or 'none'}"
            )
    for name, param in dag.unbound():
        if param not in inputs and f"{name}.{param}" not in inputs:
            raise UnboundParameter(
                f"input {param!r} is missing: {name} needs it; start(dag, inputs={{{param!r}: …}})"
            )
