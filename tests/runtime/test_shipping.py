"""Code and values are shipped once, signed, and remembered within bounds."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from pydantic import BaseModel

import hexdag_lab as hx
from hexdag_lab.core.base.errors import NotAllowed, SchemaError, StoreUnavailable
from hexdag_lab.core.runs.attempt import Input, Task
from hexdag_lab.runtime import shipping
from hexdag_lab.runtime.seal import Seal
from hexdag_lab.runtime.shipping import Shipping
from hexdag_lab.worker import values
from hexdag_lab.worker.values import INLINE
from tests.worker.attempts import Blobs


class Counted(Blobs):
    """Counts what is put and fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = self.gets = 0

    def put(self, data: bytes) -> str:
        self.puts += 1
        return super().put(data)

    def get(self, sha256: str) -> bytes:
        self.gets += 1
        return super().get(sha256)

    def has(self, sha256: str) -> bool:
        return sha256 in self.kept


class Model(BaseModel):
    n: int


@pytest.fixture
def blobs() -> Counted:
    return Counted()


@pytest.fixture
def ours(blobs: Counted) -> Shipping:
    return Shipping(blobs, Seal())


def one(n: int = 1) -> int:
    return n


def test_a_function_that_many_nodes_share_is_shipped_once(ours: Shipping, blobs: Counted) -> None:
    dag = hx.Dag.of(*(hx.NodeSpec(f"n{n}", one, params={"n": n}) for n in range(50)))
    shipped = ours.dag(dag)
    assert blobs.puts == 1
    assert len({spec.blob for spec in shipped.nodes.values()}) == 1
    assert shipped.digest == dag.digest


def test_the_same_function_with_another_model_is_shipped_again(ours: Shipping, blobs: Counted) -> None:
    plain, with_model = ours.spec(hx.NodeSpec("a", one)), ours.spec(hx.NodeSpec("b", one, in_model=Model))
    assert plain.blob != with_model.blob


def test_functions_are_remembered_within_bounds(ours: Shipping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "FUNCTIONS", 2)
    functions = [eval(f"lambda: {n}") for n in range(5)]
    references = [weakref.ref(function) for function in functions]
    for number, function in enumerate(functions):
        ours.spec(hx.NodeSpec(f"n{number}", function))
    del function, functions
    gc.collect()
    assert len(ours._known) <= 2
    assert sum(reference() is not None for reference in references) <= 2


def test_code_is_remembered_within_bounds_and_fetched_when_it_was_forgotten(
    ours: Shipping, blobs: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "AT_HAND", 150_000)
    specs = [ours.spec(hx.NodeSpec(f"n{n}", closure(bytes([n]) * 50_000))) for n in range(6)]
    assert ours._size <= 150_000
    references = [str(spec.blob) for spec in specs]
    assert [ours.at_hand(reference) for reference in references][-1]
    assert not ours.at_hand(references[0])
    assert all(bytes([n]) * 50_000 in ours.code(reference) for n, reference in enumerate(references))
    assert blobs.gets >= 4


def closure(data: bytes) -> Any:
    return lambda: data


def test_small_values_are_inline_and_large_ones_are_blobs(ours: Shipping, blobs: Counted) -> None:
    small, large = ours.keep((1, 2)), ours.keep(bytes(INLINE + 1))
    assert (small.where, large.where) == ("inline", "blob")
    assert ours.read(small) == (1, 2)
    assert ours.read(large) == bytes(INLINE + 1)
    assert blobs.has(large.sha256)


def task(ours: Shipping, *inputs: Input, **fields: Any) -> Task:
    code = str(ours.spec(hx.NodeSpec("n", one)).blob)
    made = Task(run="run-1", node="n", fence=1, attempt=1, version=1, sees=1, code=code, params={}, inputs=inputs)
    return made._replace(**fields)


def test_an_attempt_whose_code_and_values_are_signed_may_run(ours: Shipping) -> None:
    given = [Input("a", "up", 1, ours.keep((1,))), Input("b", "", 0, ours.keep([1])), Input("c", "made", 3, None)]
    ours.check(task(ours, *given, saved=ours.keep({1})))


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (lambda pickled: {"inputs": (Input("a", "up", 1, pickled),)}, "the result of up"),
        (lambda pickled: {"inputs": (Input("a", "", 0, pickled),)}, "the input 'a'"),
        (lambda pickled: {"saved": pickled}, r"what n gave to checkpoint\(\)"),
        (lambda pickled: {"code": "0" * 64 + ".0"}, "this code"),
        (lambda pickled: {"code": ""}, "this code"),
    ],
)
def test_an_attempt_with_something_unsigned_may_not_run_and_it_is_named(ours: Shipping, wrong: Any, what: str) -> None:
    unsigned = values.encode((1, 2))
    with pytest.raises(NotAllowed, match=f"{what} .*the lab's key"):
        ours.check(task(ours, **wrong(unsigned)))


def test_a_value_signed_by_another_lab_is_not_read(ours: Shipping) -> None:
    theirs = Shipping(Counted(), Seal()).keep((1, 2))
    with pytest.raises(NotAllowed, match="the result of up is a pickle without the lab's key"):
        ours.read(theirs, "the result of up")


def test_a_signed_value_with_other_bytes_is_not_read(ours: Shipping) -> None:
    kept = ours.keep((1, 2))
    with pytest.raises(SchemaError, match="the result of up: a stored value is damaged"):
        ours.read(kept._replace(inline=b"..."), "the result of up")


def test_code_whose_blob_is_missing_says_so(ours: Shipping, blobs: Counted) -> None:
    reference = str(ours.spec(hx.NodeSpec("n", one)).blob)
    again = Shipping(Counted(), ours.key)
    with pytest.raises(StoreUnavailable, match="is missing"):
        again.code(reference)
