"""Large graphs: nothing recurses, and an edit costs what it changes."""

import gc
import pickle
import time
from collections.abc import Iterator
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
        Dag.of(*(then.but(name=name(i), deps=[name(i - 1 if i else N - 1)]) for i in range(N)))
    assert len(caught.value.path) == N + 1


def test_thousands_of_edits_leave_no_deep_structure() -> None:
    dag = Dag.of()
    for i in range(2000):
        dag = dag.add_node(NodeSpec(name(i), root))
    assert dag.version == 2001
    assert pickle.loads(pickle.dumps(dag)).version == 2001
    del dag


def test_a_node_with_2000_dependents_can_be_removed(chain: Dag) -> None:
    hub = Dag.of(NodeSpec("hub", root), *(NodeSpec(name(i), step, deps=["hub"]) for i in range(2000)))
    assert len(hub.remove_node("hub").waves) == 1


def test_an_edit_costs_what_it_changes(chain: Dag) -> None:
    """Far below what a copy of the graph would cost (more than 10 ms)."""
    spec = NodeSpec("extra", step).after(name(10))
    best = min(_seconds(lambda: chain.add_node(spec).digest) for _ in range(200))
    assert best < 0.002


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
