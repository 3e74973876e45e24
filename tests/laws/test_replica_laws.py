"""Laws of drafts that several copies edit: whatever the network does, they show the same, and nothing is lost.

A history is a list of steps of some replicas: edits, and messages that come late, twice, in any order, or not at all
and are sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import pairwise, permutations
from typing import Any

import networkx as nx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexdag_lab.core.base.errors import HexdagError
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.dag.wiring import Wire
from hexdag_lab.core.replica.clock import Clock, Dot
from hexdag_lab.core.replica.draft import edit, settle
from hexdag_lab.core.replica.packing import from_bytes, to_bytes
from hexdag_lab.core.replica.replica import Replica, Write
from hexdag_lab.core.replica.sync import Frames, Sync, framed
from hexdag_lab.core.replica.view import EMPTY, View, edge_key, moved, pinned, view


def histories(count: int) -> Callable[[Any], Any]:
    """So many histories, the same in each run."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


def step(**inputs: Any) -> int:
    return len(inputs)


def other(x: int = 0) -> int:
    return x


NAMES = ("a", "b", "c", "d")
SPECS = {name: [NodeSpec(name, step), NodeSpec(name, step, params={"k": 1}), NodeSpec(name, other)] for name in NAMES}
EDGES = [(up, down) for up in NAMES for down in NAMES if up != down]
IDS = ("r1", "r2", "r3", "r4", "r5")

EDITS = st.one_of(
    st.tuples(st.just("node"), st.sampled_from(NAMES), st.sampled_from([0, 1, 2, None, None])),
    st.tuples(st.just("edge"), st.sampled_from(EDGES), st.sampled_from([None, None, "*", "x", "gone"])),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(0, 4), EDITS),
        st.tuples(st.just("edit"), st.integers(0, 4), EDITS),
        st.tuples(st.just("send"), st.integers(0, 4), st.integers(0, 4)),  # the whole state
        st.tuples(st.just("some"), st.integers(0, 4), st.tuples(st.integers(0, 4), st.randoms(use_true_random=False))),
        st.tuples(st.just("trim"), st.integers(0, 4), st.none()),
        st.tuples(st.just("pin"), st.integers(0, 4), st.sampled_from(NAMES)),
    ),
    min_size=12,
    max_size=40,
)


def value_of(said: tuple[str, Any, Any]) -> dict[str, Any]:
    kind, what, value = said
    if kind == "node":
        return {what: None if value is None else SPECS[what][value]}
    return {edge_key(*what): None if value == "gone" else Wire(what[0], value)}


def lived(steps: Iterable[tuple[str, int, Any]], count: int) -> list[Replica]:
    """The replicas after a history."""
    *_, last = lives(steps, count)
    return last


def lives(steps: Iterable[tuple[str, int, Any]], count: int) -> Iterator[list[Replica]]:
    """The replicas after each step; they begin with the same four nodes, and wait for each other from the start."""
    base = Replica("base").write({name: SPECS[name][0] for name in NAMES})
    found = []
    for name in IDS[:count]:
        replica = Replica(name).merge(base).forget("base")
        for peer in IDS[:count]:
            replica = replica.deliver(told={peer: base.seen})
        found.append(replica)
    yield list(found)
    for kind, who, what in steps:
        who %= count
        if kind == "edit":
            found[who] = found[who].write(value_of(what), by=f"agent of {IDS[who]}")
        elif kind == "send":
            to = what % count
            found[to] = found[to].merge(found[who]) if to != who else found[to]
        elif kind == "some":
            to, random = what[0] % count, what[1]
            writes = list(found[who].log.values()) * 2  # repeated
            random.shuffle(writes)  # reordered
            found[to] = found[to].deliver(writes[: random.randint(0, len(writes))])  # and lost
        elif kind == "pin":  # a run has started the node, with the edges into it that are shown here
            dag = view(found[who]).dag
            into = {edge_key(w.up, what): w for w in (dag.wires(what) if what in dag else ())}
            found[who] = found[who].write({what: SPECS[what][0], **into}, "the run", 0, {what, *into})
        elif kind == "forget":
            found[who] = found[who].forget(IDS[what % count]).trim()
        else:
            found[who] = found[who].trim()
        yield list(found)


def met(replicas: Iterable[Replica]) -> Replica:
    return reduce(Replica.merge, replicas)


def held(replica: Replica) -> dict[str, set[Dot]]:
    """What each key holds that shows: a key of removals alone is as good as gone."""
    return {key: {w.dot for w in slot.writes} for key, slot in replica.slots.items() if slot.shown.value is not None}


def plainly(writes: Iterable[Write]) -> dict[str, set[Dot]]:
    """The theory, word for word: what no other write to the same key has seen."""
    every = list(writes)
    left: dict[str, set[Write]] = {}
    for w in every:
        if not any(v.key == w.key and v.dot != w.dot and v.seen.has(w.dot) for v in every):
            left.setdefault(w.key, set()).add(w)
    return {key: {w.dot for w in ws} for key, ws in left.items() if any(w.value is not None for w in ws)}


COUNTS = st.integers(3, 5)


@histories(500)
@given(STEPS, COUNTS)
def test_all_copies_show_the_same_in_whatever_order_they_meet(steps: Any, count: int) -> None:
    replicas = lived(steps, count)
    orders = [replicas, replicas[::-1], [*replicas[1:], replicas[0]]]
    merged = [met(order) for order in orders]
    assert all(m.seen == merged[0].seen for m in merged)
    assert all(held(m) == held(merged[0]) for m in merged)
    assert all(view(m) == view(merged[0]) for m in merged)


@histories(200)
@given(STEPS, COUNTS)
def test_merging_is_commutative_associative_and_idempotent(steps: Any, count: int) -> None:
    a, b, c = lived(steps, count)[:3]
    for x, y, z in permutations((a, b, c)):
        assert held(x.merge(y)) == held(y.merge(x))
        assert held(x.merge(y).merge(z)) == held(x.merge(y.merge(z)))
    again = a.merge(b)
    assert held(again.merge(b)) == held(again) == held(again.merge(again))
    assert again.merge(b).seen == again.seen


@histories(300)
@given(STEPS, COUNTS)
def test_a_copy_holds_what_nothing_that_it_has_seen_supersedes(steps: Any, count: int) -> None:
    untrimmed = [s for s in steps if s[0] != "trim"]
    for replica in lived(untrimmed, count):
        applied = list(replica.log.values())
        assert {w.dot for w in applied} == set(replica.seen.since(Clock()))
        assert held(replica) == plainly(applied)


@histories(300)
@given(STEPS, COUNTS)
def test_what_is_shown_is_a_graph_and_what_is_not_is_a_conflict(steps: Any, count: int) -> None:
    for replica in lived(steps, count):
        shown = view(replica)
        graph = nx.DiGraph(list(shown.dag.edges))
        assert nx.is_directed_acyclic_graph(graph)
        accepted = set()
        for key, slot in replica.slots.items():
            up, _, down = key.partition(" ")
            wanted = (
                shown.dag.nodes.get(up)
                if not down
                else next((w for w in (shown.dag.wires(down) if down in shown.dag else ()) if w.up == up), None)
            )
            accepted |= {w.dot for w in slot.writes if w.value is not None and w.value == wanted}
        withheld = {dot for conflict in shown.conflicts.values() for dot in conflict.dots}
        everything = {dot for dots in held(replica).values() for dot in dots}
        assert accepted | withheld == everything
        assert all(str(conflict) for conflict in shown.conflicts.values())


@histories(300)
@given(STEPS, COUNTS)
def test_a_view_that_moves_on_is_the_view_made_anew(steps: Any, count: int) -> None:
    states = [Replica("r1"), *(replicas[0] for replicas in lives(steps, count))]
    shown: View = EMPTY
    for before, after in pairwise(states):
        shown = moved(shown, before, after)
        assert shown == view(after)


@histories(150)
@given(STEPS, COUNTS, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=20))
def test_conversations_bring_all_copies_together_whatever_is_lost(steps: Any, count: int, talks: Any) -> None:
    replicas = lived(steps, count)
    syncs: dict[tuple[int, int], Sync] = {}

    def say(a: int, b: int, lost: bool) -> bool:
        sync, data = syncs.get((a, b), Sync()).generate_message(replicas[a])
        syncs[a, b] = sync
        if data is None or lost:
            return data is not None
        (message,) = Frames().feed(framed(data))
        syncs[b, a], replicas[b] = syncs.get((b, a), Sync()).receive_message(replicas[b], message)
        return True

    for a, b, lost in talks:
        if a % count != b % count:
            say(a % count, b % count, lost)
    syncs.clear()  # the links are up again
    for _ in range(4 * count):
        if not [1 for a in range(count) for b in range(count) if a != b and say(a, b, False)]:
            break
    assert all(r.seen == replicas[0].seen for r in replicas)
    assert all(view(r) == view(replicas[0]) for r in replicas)
    assert not any(say(a, b, False) for a in range(count) for b in range(count) if a != b)


@histories(100)
@given(STEPS, COUNTS)
def test_no_edge_leads_into_a_node_that_has_started_but_those_it_was_started_with(steps: Any, count: int) -> None:
    replica = met(lived(steps, count))
    dag = view(replica).dag
    for down in pinned(replica, NAMES):
        if down in dag:
            assert all(replica.slots[edge_key(w.up, down)].shown.pinned for w in dag.wires(down))


FORGETFUL = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(0, 4), EDITS),
        st.tuples(st.just("send"), st.integers(0, 4), st.integers(0, 4)),
        st.tuples(st.just("forget"), st.integers(0, 4), st.integers(0, 4)),
    ),
    min_size=12,
    max_size=40,
)


@histories(200)
@given(FORGETFUL, COUNTS)
def test_a_log_brings_another_copy_up_to_date_or_says_that_it_is_cut(steps: Any, count: int) -> None:
    replicas = lived(steps, count)
    for a in replicas:
        for b in replicas:
            writes = a.missing(b.seen)
            if writes is not None:
                assert b.deliver(writes).seen.covers(a.seen)
            assert b.merge(a).seen.covers(a.seen)


@histories(200)
@given(STEPS, COUNTS)
def test_a_copy_comes_back_from_bytes_as_it_was(steps: Any, count: int) -> None:
    for replica in lived(steps, count):
        assert from_bytes(to_bytes(replica)) == replica


@histories(200)
@given(STEPS, COUNTS)
def test_once_all_have_heard_of_each_other_nothing_is_kept_of_what_is_gone(steps: Any, count: int) -> None:
    replicas = lived(steps, count)
    whole = met(replicas)
    for name in IDS[:count]:
        whole = whole.deliver(told={name: whole.seen})
    trimmed = whole.trim()
    assert len(trimmed.log) == 0
    assert all(slot.shown.value is not None for slot in trimmed.slots.values())
    assert view(trimmed) == view(whole)


@histories(200)
@given(STEPS, COUNTS, st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_hostile_bytes_are_refused_or_harmless(steps: Any, count: int, at: int, noise: bytes) -> None:
    a, b = lived(steps, count)[:2]
    sync = Sync(Clock())
    _, data = sync.generate_message(a.deliver(told={"r2": Clock()}))
    assert data is not None
    at %= len(data)
    forged = data[:at] + noise + data[at + len(noise) :]
    try:
        _, after = Sync().receive_message(b, forged)
    except HexdagError:
        return
    assert after.seen.covers(b.seen)
    view(after)


@histories(150)
@given(STEPS, COUNTS)
def test_settling_every_conflict_leaves_none(steps: Any, count: int) -> None:
    replica = met(lived(steps, count))
    for _ in range(200):
        conflicts = view(replica).conflicts
        if not conflicts:
            break
        key = min(conflicts)
        slot = replica.slots[key]
        wanted = None if conflicts[key].kind not in ("both-changed", "remove-vs-change") else slot.shown.dot
        replica = settle(replica, key, wanted)
    assert not view(replica).conflicts


@histories(100)
@given(STEPS, COUNTS)
def test_an_edit_of_what_is_shown_is_shown(steps: Any, count: int) -> None:
    replica = met(lived(steps, count))
    dag = view(replica).dag
    change = Changeset.on(dag).add_node(NodeSpec("new", step).after(*dag))
    assert view(edit(replica, change, "dana")).dag == change.target
