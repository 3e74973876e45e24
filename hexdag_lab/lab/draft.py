"""`SharedDraft`: a graph that people and agents write together, before anybody votes on it.

Each notebook holds a replica. Edits go into a stream of the store, and are kept here while there is none; what others
wrote is read whenever the draft is looked at. Nothing is decided here: `submit` makes an ordinary proposal.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..agents import Agent, name_of
from ..core.base.errors import Refused, StoreUnavailable
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.replica import draft as edits
from ..core.replica.clock import Dot
from ..core.replica.packing import pack, reading, unpack, writes_from_data, writes_to_data
from ..core.replica.replica import Replica, Write
from ..core.replica.view import EMPTY, Held, View, edge_of, moved
from ..ports import CommitRefused
from ..runtime import wire
from .draft_file import taken_in, written
from .proposal import ProposalHandle
from .run import Run

ROW = 48 * 1024  #: bytes of a row of the store; larger edits take more rows
BASE = "base-"  #: the replica that "wrote" the graph that a draft began with: everybody makes it alike


class Edit(NamedTuple):
    """Who wanted what, and when (unix seconds): one write of a draft."""

    by: str
    at: float
    text: str


class SharedDraft:
    """A draft of a lab, by name: `lab.draft("next", of=run)`. Edit it like a graph; each edit is shown to all.

    dag         what is shown: always a valid graph
    conflicts   what is held back, and why: `settle(...)` decides
    changes()   who wanted what, and when
    unsent      edits that the store has not taken yet
    """

    def __init__(self, lab: Any, name: str, base: Dag | None) -> None:
        self._lab, self.name = lab, name
        self._replica = Replica(f"{name_of(lab.owner)}-{secrets.token_hex(4)}")
        self._view, self._read, self._unsent = EMPTY, 0, list[Write]()
        self._listed = False  #: that this draft is in the list of drafts
        self.refresh()
        if base is not None:
            self._begin(base)

    def _begin(self, base: Dag) -> None:
        made = _based(self._lab.shipping.dag(base))
        known = self._base()
        if known is not None and known.id != made.id:
            text = f"draft {self.name} was begun with another graph"
            raise Refused(
                text, rule="other-base", fix=f"lab.draft({self.name!r}) goes on with it; or choose a new name"
            )
        if known is None:
            self._take(self._replica.deliver(made.log.values()))
            self._send(list(made.log.values()))

    def _base(self) -> Replica | None:
        """The graph that the draft began with, as a replica of its own."""
        names = [name for name in self._replica.seen if name.startswith(BASE)]
        if not names:
            return None
        return Replica(names[0]).deliver(w for w in self._replica.log.values() if w.dot.replica == names[0])

    # -- looking

    @property
    def dag(self) -> Dag:
        """The graph that is shown."""
        return self._looked().dag

    @property
    def conflicts(self) -> tuple[Held, ...]:
        """What is held back: each reads as one sentence."""
        held = self._looked().conflicts
        return tuple(held[key] for key in sorted(held))

    @property
    def unsent(self) -> int:
        """How many edits wait for the store."""
        return len(self._unsent)

    def changes(self) -> list[Edit]:
        """Who wanted what, and when, in an order that agrees with cause and effect."""
        self._looked()
        writes = sorted(self._replica.log.values(), key=lambda w: w.order)
        return [Edit(w.by, w.at / 1000, _said(w)) for w in writes if not w.dot.replica.startswith(BASE)]

    def _looked(self) -> View:
        with suppress(StoreUnavailable):  # offline: what is here is shown
            self.refresh()
        return self._view

    def refresh(self) -> None:
        """Read what others wrote, and send what waits. Raises `StoreUnavailable`."""
        while rows := self._lab.in_store(lambda store: store.read(self._stream, self._read)):
            writes: list[Write] = []
            for row in rows:
                writes += reading(f"row {row.seq} of draft {self.name}", writes_from_data, unpack(row.data))
            self._take(self._replica.deliver(writes))
            self._read = rows[-1].seq
        self._send([])

    def _take(self, replica: Replica) -> None:
        self._view, self._replica = moved(self._view, self._replica, replica), replica

    def _send(self, writes: Sequence[Write]) -> None:
        self._unsent += writes
        while self._unsent:
            batch, data = _row(self._unsent)
            rows = {self._stream: [data]} | ({} if self._listed else {wire.DRAFTS: [self.name.encode()]})
            said = self._lab.in_store(lambda store, rows=rows: store.commit(append=rows))
            assert not isinstance(said, CommitRefused)  # nothing guards it
            self._listed = True
            del self._unsent[:batch]

    @property
    def _stream(self) -> str:
        return wire.draft(self.name)

    # -- editing

    def edit(self, change: Changeset, by: Agent | str | None = None) -> SharedDraft:
        """Make a change of the graph that is shown: `draft.edit(hx.Changeset.on(draft.dag).add_node(…), by="critic")`.

        Without a store it waits here (`unsent`). Raises a `DagError` if the graph has moved on and it does not fit."""
        shipped = self._lab.shipping.changeset(change)
        if shipped.base != self._looked().dag.digest:
            rebased = shipped.rebase(self._view.dag)
            shipped = rebased if isinstance(rebased, Changeset) else _raise(rebased)
        return self._wrote(edits.edit(self._replica, shipped, self._who(by), _now()))

    def add_node(self, node: Any, by: Agent | str | None = None) -> SharedDraft:
        """With one more node."""
        return self.edit(Changeset.on(self.dag).add_node(node), by)

    def replace_node(self, name: Any, node: Any, by: Agent | str | None = None) -> SharedDraft:
        """With other code or another spec under a name."""
        return self.edit(Changeset.on(self.dag).replace_node(name, node), by)

    def remove_node(self, name: Any, by: Agent | str | None = None) -> SharedDraft:
        """Without a node and its edges."""
        return self.edit(Changeset.on(self.dag).remove_node(name), by)

    def add_edge(self, up: Any, down: Any, by: Agent | str | None = None) -> SharedDraft:
        """With one more edge."""
        return self.edit(Changeset.on(self.dag).add_edge(up, down), by)

    def remove_edge(self, up: Any, down: Any, by: Agent | str | None = None) -> SharedDraft:
        """Without an edge."""
        return self.edit(Changeset.on(self.dag).remove_edge(up, down), by)

    def settle(self, conflict: Held, keep: Dot | None = None, by: Agent | str | None = None) -> SharedDraft:
        """Decide a conflict: keep one of its `dots`, or what is shown (None); an edge that is held back is given up."""
        self._looked()
        slot = self._replica.slots.get(conflict.key)
        shown = slot.shown.dot if slot is not None and conflict.shown else None
        return self._wrote(edits.settle(self._replica, conflict.key, keep or shown, self._who(by), _now()))

    def _wrote(self, replica: Replica) -> SharedDraft:
        fresh = replica.missing(self._replica.seen) or ()
        self._take(replica)
        with suppress(StoreUnavailable):  # they wait here, and go with the next refresh
            self._send(fresh)
        return self

    def _who(self, by: Agent | str | None) -> str:
        return name_of(by or self._lab.owner)

    # -- leaving

    def submit(self, run: Run, by: Agent | str | None = None, reason: str = "") -> ProposalHandle:
        """Propose to a run what became of the graph that the draft began with. Conflicts must be settled first."""
        if conflicts := self.conflicts:
            fix = "draft.settle(draft.conflicts[0], …)"
            raise Refused(f"draft {self.name} has {len(conflicts)} open conflicts", rule="open-conflicts", fix=fix)
        base = self._base()
        began = EMPTY.dag if base is None else moved(EMPTY, Replica(base.id), base).dag
        return run.propose(Changeset.between(began, self._view.dag), by=by, reason=reason or f"draft {self.name}")

    def save(self, path: str | Path) -> None:
        """Write the draft and the code of its nodes into a file, to be merged elsewhere."""
        self._looked()
        written(self._replica, self._lab.shipping.blobs, Path(path))

    def merge(self, path: str | Path) -> SharedDraft:
        """Take in a draft that was saved elsewhere. Raises `SchemaError` for what is no draft."""
        self._looked()
        return self._wrote(self._replica.merge(taken_in(Path(path), self._lab.shipping.blobs)))

    def __repr__(self) -> str:
        held = f", {len(self.conflicts)} conflicts" if self.conflicts else ""
        return f"<SharedDraft {self.name}: {len(self._view.dag)} nodes{held}>"


def _based(dag: Dag) -> Replica:
    """A graph as the writes of a replica that is named after it: whoever makes it makes the same."""
    change = Changeset.between(Dag.of(), dag)
    return edits.edit(Replica(BASE + dag.digest.hex()), change)


def _row(writes: Sequence[Write]) -> tuple[int, bytes]:
    """As many of the writes as one row takes."""
    count = len(writes)
    while True:
        data = pack(writes_to_data(writes[:count]))
        if len(data) <= ROW or count == 1:
            return count, data
        count = max(1, count // 2)


def _said(w: Write) -> str:
    edge = edge_of(w.key)
    what = f"the edge {edge[0]} -> {edge[1]}" if edge else w.key
    return f"{'removes' if w.value is None else 'writes'} {what}"


def _raise(conflict: Any) -> Any:
    raise conflict.error()


def _now() -> int:
    return int(time.time() * 1000)
