"""Large graphs: nothing recurses, and an edit costs what it changes."""

import gc
import pickle
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from hexdag_lab.core.base.errors import CycleError
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.diff import diff
from hexdag_lab.core.dag.node import NodeSpec

N = 20_000


def step(previous: Any) -> Any: ...
def root() -> Any: ...


def name(i: int) -> str:
    return f"n{i:05}"


@pytest.fixture(scope="module")
def chain() -> Iterator[Dag]:
    first, then = NodeSpec(name(0), root), NodeSpec("any", step)
    dag = Dag.of(first, *(then.but(name=name(i), deps=[name(i - 1)]) for i in range(1, N)))
    gc.freeze()  # or each test pays for walking over it
    yield dag
    gc.unfreeze()


def test_a_chain_of_20_000_nodes(chain: Dag) -> None:
    assert len(chain.waves) == N
    assert chain.inputs == ()
    assert len(chain.edges) == N - 1
    assert len(chain.below(name(0))) == N - 1
    assert len(chain.waves_after({name(0)})) == N - 1
    assert len(chain.digest) == 32
    assert str(chain).endswith(f"and {N - 40} more")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_chain_of_100_000_nodes_is_loaded_hashed_compared_and_written() -> None:
    then, names = NodeSpec("any", step), [f"n{i:06}" for i in range(100_000)]
    chain = Dag.of(then.but(name=names[0]), *(then.but(name=b).after(a) for a, b in pairwise(names)))
    assert (len(chain.waves), len(chain.digest)) == (100_000, 32)
    other = chain.replace_node(names[50_000], lambda previous: 1).remove_edge(names[7], names[8])
    assert other.level(names[-1]) == 99_991
    found = diff(chain, other)
    assert (found.changed, found.edges_removed) == ((names[50_000],), ((names[7], names[8]),))
    assert Dag.from_json(chain.to_json()) == chain
    assert pickle.loads(pickle.dumps(chain)) == chain


def test_its_ends_cannot_meet(chain: Dag) -> None:
    with pytest.raises(CycleError) as caught:
        chain.add_edge(name(N - 1), name(0))
    assert len(caught.value.path) == N + 1


def test_it_can_be_cut_and_joined(chain: Dag) -> None:
    cut = chain.remove_edge(name(99), name(100))
    assert cut.level(name(N - 1)) == N - 101
    assert len(cut.waves) == N - 100
    assert cut.add_edge(name(99), name(100)) == chain
    assert chain.remove_node(name(N // 2)).level(name(N - 1)) == N // 2 - 2


def test_it_can_be_compared_and_changed(chain: Dag) -> None:
    other = chain.replace_node(name(7), lambda previous: 1).add_node(NodeSpec("end", step).after(name(N - 1)))
    assert diff(chain, other).changed == (name(7),)
    assert diff(Dag.of(), chain).added[0] == name(0)
    whole = Changeset.between(Dag.of(), chain)
    assert Dag.of().apply(whole) == chain
    assert len(whole.digest) == 32


def test_it_can_be_written_and_read(chain: Dag) -> None:
    assert Dag.from_json(chain.to_json(), {"step": step, "root": root}) == chain
    assert pickle.loads(pickle.dumps(chain)) == chain


def test_a_cycle_of_20_000_nodes_is_found() -> None:
    then = NodeSpec("any", step)
    with pytest.raises(CycleError) as caught:
        Dag.of(*(then.but(name=name(i), deps=[name(i - 1 if i else 19_999)]) for i in range(20_000)))
    assert len(caught.value.path) == 20_001


def test_a_chain_that_was_written_down_backwards() -> None:
    """Each edge, taken by itself, would lift all that comes after it."""
    then = NodeSpec("any", step)
    chain = Dag.of(*(then.but(name=name(i), deps=[name(i + 1)] if i < 19_999 else []) for i in range(20_000)))
    assert (chain.level(name(0)), len(chain.waves)) == (19_999, 20_000)
    again = Dag.of().apply(Changeset.between(Dag.of(), chain))
    assert again == chain
    assert again.waves == chain.waves
    assert len(chain.apply(Changeset.between(chain, Dag.of()))) == 0


def test_thousands_of_edits_leave_no_deep_structure() -> None:
    dag = Dag.of()
    for i in range(2000):
        dag = dag.add_node(NodeSpec(name(i), root))
    assert dag.version == 2001
    assert pickle.loads(pickle.dumps(dag)).version == 2001
    del dag


@pytest.fixture(scope="module")
def hub() -> Dag:
    return Dag.of(NodeSpec("hub", root), *(NodeSpec(name(i), step, deps=["hub"]) for i in range(2000)))


def test_a_node_with_2000_dependents_can_be_changed_and_removed(hub: Dag) -> None:
    wider = hub.add_node(NodeSpec("new", step).after("hub")).remove_edge("hub", name(7))
    assert wider.dependents("hub") == hub.dependents("hub") - {name(7)} | {"new"}
    assert wider.level(name(7)) == 0
    assert len(hub.dependents("hub")) == 2000
    assert len(hub.remove_node("hub").waves) == 1


def test_a_node_with_2000_dependencies_can_be_removed(hub: Dag) -> None:
    sink = hub.add_node(NodeSpec("sink", root).after(*hub.dependents("hub")))
    assert sink.level("sink") == 2
    assert sink.remove_node("sink") == hub


def test_a_version_of_a_hub_shares_nearly_everything(hub: Dag) -> None:
    versions = [hub]
    hub.digest  # noqa: B018
    gc.collect()
    tracemalloc.start()
    for i in range(100):
        versions.append(versions[-1].add_node(NodeSpec(f"new{i}", root).after("hub")))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 100 * 16 * 1024  # a copy of its dependents alone would be 64 KiB


def test_threads_share_versions(hub: Dag) -> None:
    """What a version finds out about itself when it is asked, it finds out once or twice, and the same."""
    base = hub
    for i in range(40):
        base = base.add_node(NodeSpec(f"x{i}", root).after("hub"))
    start = threading.Barrier(8)

    def work(i: int) -> Any:
        start.wait()
        mine = base.add_node(NodeSpec(f"mine{i}", root).after("hub", name(i))).remove_edge("hub", name(i + 8))
        return mine.remove_node(f"mine{i}").add_edge("hub", name(i + 8)).digest, mine.waves, base.waves, base.edges

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert {digest for digest, *_ in found} == {base.digest}
    for i, (_, waves, base_waves, edges) in enumerate(found):
        assert (base_waves, edges) == (base.waves, base.edges)
        assert waves[2] == (f"mine{i}",)
        assert name(i + 8) in waves[0]


def test_an_edit_costs_what_it_changes(chain: Dag) -> None:
    """Far below what a copy of the graph would cost (more than 10 ms)."""
    spec = NodeSpec("extra", step).after(name(10))
    best = min(_seconds(lambda: chain.add_node(spec).digest) for _ in range(200))
    assert best < 0.002


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
