"""`Replica`: one copy of a draft, a value; a CRDT.

The theory, before the code. A draft is a grow-only set of *writes*. A write says what a key (a node, an edge) is to
be, None for "it is to go", and carries the clock of its author: what he had seen. It *supersedes* each write to its
key that is in that clock. A key holds the writes that nothing supersedes: one in quiet times, several after edits that
did not know of each other (a multi-value register; Shapiro et al., INRIA RR-7506). All a replica shows is a function
of the set it has seen, and the union of sets is commutative, associative and idempotent: so are `deliver` and `merge`.

Superseded writes are not kept. This needs causal delivery: a write whose causes are still missing waits, so that what
comes later can supersede what is here and never what is not here yet. A removal is a write too: it stands beside a
concurrent change as its rival, so neither is lost, and goes for good once every replica has seen it (`trim`): whoever
writes the key later supersedes it (causal stability; Baquero, Almeida, Shoker 2014).

Ids belong to replicas (a kernel, a controller), never to agents: an agent is the attribute `by` of a write.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from ..base.canon import digest, hash_of
from ..base.codec import dumps
from ..base.errors import SchemaError
from ..base.frozen import FrozenDict
from ..base.overlay import Overlay
from .clock import NOTHING, Clock, Dot

MOST_WAITING = 10_000  #: writes that wait for their causes
NOBODY = FrozenDict[Clock]()  #: that has told anything


class Write(NamedTuple):
    """What a key is to be, as its author saw the draft.

    dot     its name;  seen  the author's clock before it
    key     a node, or an edge (see `view`);  value  what it is to be; None: it is to go
    by, at  who wanted it, and when, in unix milliseconds: to be shown, nothing is decided by it
    pinned  for a node that has started, and the edges into it: it stands before all that are not
    """

    dot: Dot
    seen: Clock
    key: str
    value: Any
    by: str = ""
    at: int = 0
    pinned: bool = False

    @property
    def time(self) -> int:
        """Its Lamport time."""
        return self.seen.time + 1

    @property
    def order(self) -> tuple[int, Dot]:
        """The total order of all writes; it agrees with cause and effect."""
        return self.seen.time + 1, self.dot

    @property
    def after(self) -> Clock:
        """The author's clock after it."""
        return self.seen.after(self.dot)

    @property
    def wanted(self) -> bytes:
        """Content hash of the value: 32 bytes."""
        own = getattr(self.value, "digest", None)
        return own if type(own) is bytes else digest(dumps(self.value))

    @property
    def digest(self) -> bytes:
        """Content hash: 32 bytes."""
        own = (self.dot, dict(self.seen), self.key, self.by, self.at, self.pinned)
        return digest(hash_of(own), self.wanted)


class Slot(NamedTuple):
    """The writes to a key that nothing supersedes, by their order."""

    writes: tuple[Write, ...]

    @property
    def shown(self) -> Write:
        """The last write that is not a removal, a pinned one first: a change is shown, its removal is a rival."""
        if len(self.writes) == 1:  # in quiet times
            return self.writes[0]
        kept = [w for w in self.writes if w.value is not None]
        return max(kept or self.writes, key=lambda w: (w.pinned, w.order))

    @property
    def rivals(self) -> tuple[Write, ...]:
        """The writes that wanted something else than what is shown."""
        if len(self.writes) == 1:
            return ()
        wanted = self.shown.wanted
        return tuple(w for w in self.writes if w.wanted != wanted)

    @property
    def dots(self) -> tuple[Dot, ...]:
        """The names of its writes: two slots of a key with the same ones hold the same."""
        return tuple([w.dot for w in self.writes])


class Replica(NamedTuple):
    """One copy of a draft, under an id that no other copy has.

    seen     the writes it has applied, its own included
    slots    key -> `Slot`
    log      "replica number" -> write, for those who have not seen it;  cut  what the log lacks: up to these numbers
    waiting  writes that came before their causes, by dot
    heard    replica -> what it has told of what it has seen; who is not there is waited for by nobody
    """

    id: str
    seen: Clock = Clock()
    slots: Overlay[Slot] = Overlay({})
    log: Overlay[Write] = Overlay({})
    cut: Clock = Clock()
    waiting: FrozenDict[Write] = FrozenDict()
    heard: FrozenDict[Clock] = FrozenDict()

    # -- writing

    def write(self, values: Mapping[str, Any], by: str = "", at: int = 0, pinned: Container[str] = ()) -> Replica:
        """With one more write of its own for each key. It supersedes all there is under the key, rivals too."""
        made, seen = [], self.seen
        for key, value in values.items():
            w = Write(Dot(self.id, seen.get(self.id, 0) + 1), seen, key, value, by, at, key in pinned)
            made.append(w)
            seen = w.after
        return self.deliver(made)

    # -- merging

    def deliver(self, writes: Iterable[Write] = (), told: Mapping[str, Clock] = NOBODY) -> Replica:
        """With writes of any replica, in any order, any number of times; `told`: what replicas say they have seen, for
        which `trim` waits from then on. Raises `SchemaError` for a forged write."""
        seen, heard = dict(self.seen), self.heard
        for replica, clock in told.items():
            heard = heard.updated({replica: heard.get(replica, NOTHING).joined(clock)})
        slots: dict[str, Slot | None] = {}
        logged: dict[str, Write | None] = {}
        late: list[Write] = []
        for again in (False, True):  # mostly causes come first, and nothing is sorted
            if again:
                if not late and not self.waiting:
                    break
                writes, late = sorted([*self.waiting.values(), *late], key=_order), []
            for w in writes:
                author, number = w.dot
                known = seen.get(author, 0)
                if number <= known:
                    place = str(w.dot)
                    _check_same(logged.get(place) or self.log.get(place), w)
                elif number == known + 1 and _covered(w.seen, seen):
                    slots[w.key] = _applied(slots.get(w.key) or self.slots.get(w.key), w)
                    logged[str(w.dot)] = w
                    seen[author] = number
                    if author not in heard:
                        heard = heard.updated({author: NOTHING})
                else:
                    late.append(w)
        # of what waits, what is let go is asked for again: it is not seen
        waits = FrozenDict({str(w.dot): w for w in late[:MOST_WAITING]}) if late or self.waiting else self.waiting
        return Replica(
            self.id, self.seen.updated(seen), self.slots.update(slots), self.log.update(logged), self.cut, waits, heard
        )

    def merge(self, other: Replica) -> Replica:
        """With everything that another copy has seen: the whole state, for one that its log does not reach back to."""
        slots: dict[str, Slot | None] = {}
        for key, mine, theirs in self.slots.diff(other.slots):
            if mine is None or theirs is None or mine.dots != theirs.dots:
                kept = {**_kept(mine, theirs, other.seen), **_kept(theirs, mine, self.seen)}
                slots[key] = Slot(tuple(sorted(kept.values(), key=_order))) if kept else None
        fresh: dict[str, Write | None] = {}
        for place, w in other.log.items():
            known = self.log.get(place)
            if known is None:
                fresh[place] = w
            elif known is not w:
                _check_same(known, w)
        heard = {name: self.heard.get(name, NOTHING).joined(clock) for name, clock in other.heard.items()}
        whole = self._replace(
            seen=self.seen.joined(other.seen), slots=self.slots.update(slots), log=self.log.update(fresh),
            cut=_cut(self, other), heard=self.heard.updated({**heard, other.id: other.seen}),
        )  # fmt: skip
        return whole.deliver(other.waiting.values())

    def missing(self, seen: Mapping[str, int]) -> tuple[Write, ...] | None:
        """The writes that somebody who has seen `seen` lacks, in their order; None if the log is cut above that."""
        if any(number > seen.get(replica, 0) for replica, number in self.cut.items()):
            return None
        return tuple(sorted((self.log[str(dot)] for dot in self.seen.since(seen)), key=_order))

    # -- forgetting

    def forget(self, replica: str) -> Replica:
        """Wait for a copy no longer. If it comes back it needs the whole state."""
        return self._replace(heard=FrozenDict({name: clock for name, clock in self.heard.items() if name != replica}))

    def known(self, replica: str) -> Clock:
        """What another copy is known to have seen: what it told, and what its last write has seen."""
        last = self.log.get(str(Dot(replica, self.seen.get(replica, 0))))
        told = self.heard.get(replica, NOTHING)
        return told if last is None else told.joined(last.after)

    @property
    def stable(self) -> Clock:
        """What every known copy has seen."""
        clock = self.seen
        for name in self.heard:
            if name != self.id:
                clock = clock.met(self.known(name))
        return clock

    def trim(self) -> Replica:
        """Without what no copy will ask for again: old writes of the log, and removals that all have seen."""
        stable = self.stable
        gone = [w for dot in stable.since(self.cut) if (w := self.log.get(str(dot))) is not None]
        empty: dict[str, Slot | None] = {}
        for w in gone:
            slot = self.slots.get(w.key) if w.value is None else None
            if slot is not None and all(v.value is None and stable.has(v.dot) for v in slot.writes):
                empty[w.key] = None
        return self._replace(
            slots=self.slots.update(empty), log=self.log.update({str(w.dot): None for w in gone}),
            cut=self.cut.joined(stable), heard=FrozenDict({name: self.known(name) for name in self.heard}),
        )  # fmt: skip


_order = attrgetter("order")


def _covered(clock: Mapping[str, int], seen: Mapping[str, int]) -> bool:
    for replica, number in clock.items():  # noqa: SIM110  # a generator takes twice as long
        if number > seen.get(replica, 0):
            return False
    return True


def _check_same(known: Write | None, w: Write) -> None:
    if known is not None and known.digest != w.digest:
        raise SchemaError(f"two different writes are called {w.dot}: the id of a replica was used twice")


def _applied(slot: Slot | None, w: Write) -> Slot:
    """A slot with one more write, without those that it supersedes."""
    left = () if slot is None else [v for v in slot.writes if not w.seen.has(v.dot)]
    return Slot(tuple(sorted((*left, w), key=_order))) if left else Slot((w,))


def _kept(slot: Slot | None, other: Slot | None, seen: Clock) -> dict[Dot, Write]:
    """The writes of a slot that another copy has as well, or has not seen; what it has seen and lacks is superseded."""
    theirs = set() if other is None else {w.dot for w in other.writes}
    return {} if slot is None else {w.dot: w for w in slot.writes if w.dot in theirs or not seen.has(w.dot)}


def _cut(a: Replica, b: Replica) -> Clock:
    """Up to where the log of both together has holes."""
    return Clock({name: gap for name in {*a.cut, *b.cut} if (gap := _gap(name, a, b))})


def _gap(name: str, a: Replica, b: Replica) -> int:
    less, more = sorted((a, b), key=lambda r: r.seen.get(name, 0))
    above, below = more.cut.get(name, 0), less.cut.get(name, 0)
    return min(above, below) if above <= less.seen.get(name, 0) else above
