"""`SharedDraft`: a graph that people and agents write together, before anybody votes on it.

Each notebook holds a replica. Edits go into a stream of the store, and are kept here while there is none; what others
wrote is read whenever the draft is looked at. Nothing is decided here: `submit` makes an ordinary proposal.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple, TypeVar

from ..agents import Agent, name_of
from ..core.base.errors import DagError, HexdagError, Refused, SchemaError, StoreUnavailable
from ..core.base.frozen import FrozenDict
from ..core.dag.changeset import Changeset, Finished, Handling, Running
from ..core.dag.dag import Dag
from ..core.replica import draft as edits
from ..core.replica.clock import Dot
from ..core.replica.conflicts import Choice, Intent, choices, chosen, intents, said
from ..core.replica.copies import Copy, Told, copies
from ..core.replica.replica import Replica, Write
from ..core.replica.view import EMPTY, Held, View, moved
from ..core.runs.run import PASSED, STARTED
from ..core.votes.proposal import ProposalState
from .draft_file import taken_in, written
from .draft_link import Link
from .proposal import ProposalHandle
from .run import Run
from .show import draft_bundle

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Edit(NamedTuple):
    """Who wanted what, and when (unix seconds): one write of a draft."""

    by: str
    at: float
    text: str


class Question(NamedTuple):
    """Choices that are put to the vote with a proposal: they are made once it is applied."""

    proposal: ProposalHandle
    choices: tuple[Choice, ...]
    by: str


class SharedDraft:
    """A draft of a lab, by name: `lab.draft("next", of=run)`. Edit it like a graph; each edit is shown to all.

    dag         what is shown: always a valid graph
    conflicts   what is held back, and why: `intents(conflict)` says who wants what, `choose(choices(conflict)[0])`
                or `settle(conflict, …)` decides, `submit(choices=[…])` lets a vote decide
    changes()   who wanted what, and when;  copies()  who holds the draft, and how far behind each is
    unsent      edits that the store has not taken yet;  offline  whether the store answered at the last look

    While it is the draft of a run, nodes that the run has started stay as they are, and so do the edges into them.
    """

    def __init__(self, lab: Any, name: str) -> None:
        self._lab, self.name = lab, name
        self._lock = RLock()  # a screen may look while a cell edits
        self._replica = Replica(f"{name_of(lab.owner)}-{secrets.token_hex(4)}")
        self._view, self._link = EMPTY, Link(lab, name)
        self._run: Run | None = None
        self._pinned_at = 0  #: the event of the run up to which what has started is pinned
        self._questions: tuple[Question, ...] = ()
        self._told: Mapping[str, Told] = {}
        self._takes_part = False  #: and tells others so; a screen that only looks does not
        self.offline = False

    def join(self, of: Dag | Run | None) -> SharedDraft:
        """Take part, and begin the draft with a graph, or a run's, if nobody has. Raises `Refused` where others began
        it with another graph."""
        if of is not None:
            _given(of, Dag | Run, "a graph or a run that a draft begins with")
        with self._lock:
            self._takes_part = True
            self.refresh()
            if of is not None:
                self._begin(of)
            if isinstance(of, Run):
                self._run, self._pinned_at = of, 0
                self._looked()
        return self

    def _begin(self, of: Dag | Run) -> None:
        known = edits.began(self._replica)
        if known is None:
            made = _based(self._lab.shipping.dag(of.dag if isinstance(of, Run) else of))
            self._take(self._replica.deliver(made.log.values()))
            self._link.send(list(made.log.values()))
            return
        graphs = [version.dag for version in of.versions] if isinstance(of, Run) else [of]
        if known.id not in [edits.BASE + self._lab.shipping.dag(graph).digest.hex() for graph in graphs]:
            text = f"draft {self.name} was begun with another graph"
            raise Refused(
                text, rule="other-base", fix=f"lab.draft({self.name!r}) goes on with it; or choose a new name"
            )

    # -- looking

    @property
    def dag(self) -> Dag:
        """The graph that is shown."""
        return self._looked().dag

    @property
    def shown(self) -> Dag:
        """The graph as it was at the last look, with what was edited here since. The store is not asked."""
        return self._view.dag

    @property
    def conflicts(self) -> tuple[Held, ...]:
        """What is held back: each reads as one sentence."""
        held = self._looked().conflicts
        return tuple(held[key] for key in sorted(held))

    def intents(self, conflict: Held) -> tuple[Intent, ...]:
        """Who wants what in a conflict, and since when (unix milliseconds)."""
        return intents(self._replica, _given(conflict, Held, "one of draft.conflicts"))

    def choices(self, conflict: Held) -> tuple[Choice, ...]:
        """The ways to settle a conflict, each with its `label`: one of them goes to `choose`, or to `submit`."""
        return choices(self._replica, _given(conflict, Held, "one of draft.conflicts"))

    @property
    def unsent(self) -> int:
        """How many edits wait for the store."""
        return len(self._link.unsent)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What a vote decides: choices of this notebook's proposals that are still open."""
        self._looked()
        return self._questions

    def changes(self) -> list[Edit]:
        """Who wanted what, and when, in an order that agrees with cause and effect."""
        self._looked()
        writes = sorted(self._replica.log.values(), key=lambda w: w.order)
        return [Edit(w.by, w.at / 1000, said(w)) for w in writes if edits.is_edit(w.dot)]

    def copies(self) -> tuple[Copy, ...]:
        """Who holds a copy, what each did last, and how many changes it lacks, since when; the latest first."""
        self._looked()
        with suppress(StoreUnavailable):
            self._told = self._link.told()
        here = {self._replica.id: Told(name_of(self._lab.owner), self._replica.seen, _now())}
        known = copies(self._replica, {**self._told, **here})
        return known if self._takes_part else tuple(copy for copy in known if not copy.here)

    def _looked(self) -> View:
        with self._lock:
            try:
                self.refresh()
            except StoreUnavailable:  # what is here is shown
                self.offline = True
            self._hear_votes()  # first: what was applied may have started
            self._pin()
            return self._view

    def refresh(self) -> None:
        """Read what others wrote, and send what waits. Raises `StoreUnavailable`."""
        with self._lock:
            fresh: list[Write] = []
            try:
                for writes in self._link.fresh():
                    fresh += writes
            finally:  # what was read before the store went away counts; all at once, since the view is made anew
                if fresh:
                    self._take(self._replica.deliver(fresh))
            self._link.send()
            if self._takes_part:
                self._link.tell(self._replica.id, name_of(self._lab.owner), self._replica.seen)
            self.offline = False

    def _take(self, replica: Replica) -> None:
        self._view, self._replica = moved(self._view, self._replica, replica), replica

    def _pin(self) -> None:
        """Let stand what the run has started meanwhile."""
        if self._run is None:
            return
        state = self._run.feed.state
        if state.over or state.seq == self._pinned_at:
            return
        begun = [n for n, rec in state.nodes.items() if rec.state in STARTED | PASSED and n in state.dag]
        pins = edits.pins(self._replica, state.dag, begun, f"run {state.run}", _now())
        if pins:
            self._wrote(self._replica.deliver(pins))
        self._pinned_at = state.seq

    def _hear_votes(self) -> None:
        """Make the choices of proposals that were applied; of others, the conflicts stay open."""
        decided = [question for question in self._questions if question.proposal.view.terminal]
        self._questions = tuple(question for question in self._questions if question not in decided)
        for question in decided:
            if question.proposal.state is ProposalState.APPLIED:
                for choice in question.choices:
                    with suppress(DagError, Refused):  # somebody wrote there since: that is another conflict
                        self.choose(choice, question.by)

    # -- editing

    def edit(self, change: Changeset, by: Agent | str | None = None, *, wait: bool = True) -> SharedDraft:
        """Make a change of the graph that is shown: `draft.edit(hx.Changeset.on(draft.dag).add_node(…), by="critic")`.

        When it returns the store has the edit; without a store it waits here (`unsent`). `wait=False`, for who edits
        many times a second, on `shown`: it is here, and goes to the store apart, together with those made meanwhile.
        An edit that others make at the same time is its rival, and a conflict.
        Raises a `DagError` if the change was made on another graph than is shown and does not fit, and `FrozenNode` if
        it would change what the run has started."""
        _given(change, Changeset, "a change, as hx.Changeset.on(draft.dag).add_node(…)")
        with self._lock:
            if change.base != self._view.dag.digest:
                rebased = change.rebase(self._looked().dag)
                change = rebased if isinstance(rebased, Changeset) else _raise(rebased)
            return self._write(edits.values(self._lab.shipping.changeset(change)), by, wait)

    def add_node(self, node: Any, by: Agent | str | None = None) -> SharedDraft:
        """With one more node."""
        return self._edited(lambda on: on.add_node(node), by)

    def replace_node(self, name: Any, node: Any, by: Agent | str | None = None) -> SharedDraft:
        """With other code or another spec under a name."""
        return self._edited(lambda on: on.replace_node(name, node), by)

    def remove_node(self, name: Any, by: Agent | str | None = None) -> SharedDraft:
        """Without a node and its edges."""
        return self._edited(lambda on: on.remove_node(name), by)

    def add_edge(self, up: Any, down: Any, by: Agent | str | None = None) -> SharedDraft:
        """With one more edge."""
        return self._edited(lambda on: on.add_edge(up, down), by)

    def remove_edge(self, up: Any, down: Any, by: Agent | str | None = None) -> SharedDraft:
        """Without an edge."""
        return self._edited(lambda on: on.remove_edge(up, down), by)

    def _edited(self, change: Callable[[Changeset], Changeset], by: Agent | str | None) -> SharedDraft:
        with self._lock:
            return self.edit(change(Changeset.on(self.dag)), by)

    def choose(self, choice: Choice, by: Agent | str | None = None) -> SharedDraft:
        """Settle a conflict by one of its `choices`. Raises `DagError` if somebody has written there since."""
        _given(choice, Choice, "one of draft.choices(conflict)")
        with self._lock:
            self._looked()
            return self._write(chosen(self._replica, choice), by)

    def settle(self, conflict: Held, keep: Dot | None = None, by: Agent | str | None = None) -> SharedDraft:
        """Decide a conflict: keep one of its `dots`, or what is shown (None); an edge that is held back is given up."""
        _given(conflict, Held, "one of draft.conflicts")
        with self._lock:
            self._looked()
            slot = self._replica.slots.get(conflict.key)
            shown = slot.shown.dot if slot is not None and conflict.shown else None
            return self._write(edits.settled(self._replica, conflict.key, keep or shown), by)

    def _write(self, values: Mapping[str, Any], by: Agent | str | None, wait: bool = True) -> SharedDraft:
        if refused := edits.frozen(self._replica, values):
            raise refused
        return self._wrote(edits.write(self._replica, values, name_of(by or self._lab.owner), _now()), wait)

    def _wrote(self, replica: Replica, wait: bool = True) -> SharedDraft:
        fresh = replica.missing(self._replica.seen) or ()
        self._take(replica)
        try:
            if wait:
                self._link.send(fresh)
            else:
                self._link.send_apart(fresh)
        except StoreUnavailable:  # they wait here, and go with the next look
            self.offline = True
        return self

    # -- leaving

    def submit(
        self, run: Run | None = None, by: Agent | str | None = None, reason: str = "", *,
        choices: Sequence[Choice] = (), running: Running = "refuse", finished: Finished = "refuse",
    ) -> ProposalHandle:  # fmt: skip
        """Propose to a run, by default its own, what became of the graph that the draft began with.

        choices    of conflicts that are still open: the vote decides them. They are made in the draft once the proposal
                   is applied, and else the conflicts stay open. Without them, conflicts must be settled first
        running, finished   what a node becomes that was replaced and runs, or has finished: as for `replace_node`
        """
        target = run or self._run
        if target is None:
            raise Refused(f"draft {self.name} is of no run", rule="no-run", fix="draft.submit(run)")
        _given(target, Run, "a run, as lab.attach(run_id) gives it")
        for choice in choices:
            _given(choice, Choice, "one of draft.choices(conflict)")
        change = _handled(self._change(choices), target, Handling(running, finished))
        proposal = target.propose(change, by=by, reason=reason or f"draft {self.name}")
        if choices:
            with self._lock:
                question = Question(proposal, tuple(choices), name_of(by or self._lab.owner))
                self._questions = (*self._questions, question)
        return proposal

    def _change(self, choices: Sequence[Choice]) -> Changeset:
        """What became of the graph that the draft began with, once some choices are made."""
        with self._lock:
            self._looked()
            values = {key: value for choice in choices for key, value in chosen(self._replica, choice).items()}
            shown = moved(self._view, self._replica, edits.write(self._replica, values))
            base = edits.began(self._replica)
        if shown.conflicts:
            text = f"draft {self.name} has {len(shown.conflicts)} open conflicts"
            fix = "draft.choose(draft.choices(draft.conflicts[0])[0]), or submit(choices=[…]) for a vote on them"
            raise Refused(text, rule="open-conflicts", fix=fix)
        start = EMPTY.dag if base is None else moved(EMPTY, Replica(base.id), base).dag
        return Changeset.between(start, shown.dag)

    def save(self, path: str | Path) -> None:
        """Write the draft and the code of its nodes into a file, to be merged elsewhere."""
        with suppress(SchemaError):  # what was read before a row that is damaged can be saved
            self._looked()
        written(self._replica, self._lab.shipping.blobs, Path(path))

    def merge(self, path: str | Path) -> SharedDraft:
        """Take in a draft that was saved elsewhere. Raises `SchemaError` for what is no draft."""
        with self._lock:
            self._looked()
            return self._wrote(self._replica.merge(taken_in(Path(path), self._lab.shipping.blobs)))

    def leave(self) -> None:
        """Send what waits, for the last time: the lab is closed. What the store does not take is gone, and said."""
        with suppress(HexdagError):
            self._link.send()
        if self.unsent:
            text = "draft %s: the store has not taken its last changes (%d), and the lab is closed; save() keeps such"
            _log.warning(text, self.name, self.unsent)

    def __repr__(self) -> str:
        count = len(self.conflicts)
        held = f", {count} conflict{'s' * (count != 1)}" if count else ""
        return f"<SharedDraft {self.name}: {len(self._view.dag)} nodes{held}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return draft_bundle(self)


def _given(value: T, kind: Any, what: str) -> T:
    """The value, which is of that kind. Raises `TypeError`."""
    if not isinstance(value, kind):
        raise TypeError(f"expected {what}, not {value!r}")
    return value


def _based(dag: Dag) -> Replica:
    """A graph as the writes of a replica that is named after it: whoever makes it makes the same."""
    change = Changeset.between(Dag.of(), dag)
    return edits.write(Replica(edits.BASE + dag.digest.hex()), edits.values(change))


def _handled(change: Changeset, run: Run, handling: Handling) -> Changeset:
    """A change that says what it means for nodes of a run that have started."""
    nodes = run.feed.state.nodes
    touched = [name for name in (*change.changed, *change.removed) if name in nodes and nodes[name].state in STARTED]
    if handling == Handling() or not touched:
        return change
    return replace(change, handling=FrozenDict(dict.fromkeys(touched, handling)))


def _raise(conflict: Any) -> Any:
    raise conflict.error()


def _now() -> int:
    return int(time.time() * 1000)
