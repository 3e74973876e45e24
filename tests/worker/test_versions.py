"""A worker makes a version of a run from what was published: a graph, and changesets on it."""

from __future__ import annotations

import threading

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps
from hexdag_lab.worker import versions
from hexdag_lab.worker.versions import Versions


@hx.node
def start() -> int:
    return 0


def history(count: int) -> tuple[dict[tuple[str, int], bytes], list[hx.Dag]]:
    """What is published of a run with so many versions, and its graphs."""
    dags = [hx.Dag.of(start)]
    published = {("run-1", 1): dumps(dags[0])}
    for number in range(2, count + 1):
        change = hx.Changeset.on(dags[-1]).add_node(start.as_node(f"n{number}"))
        published["run-1", number] = dumps(change)
        dags.append(dags[-1].apply(change))
    return published, dags


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3)])
def test_each_version_is_what_it_was_in_whatever_order_they_are_asked_for(order: tuple[int, ...]) -> None:
    published, dags = history(4)
    found = Versions(lambda run, version: published[run, version])
    for number in order:
        dag = found.dag("run-1", number)
        assert (dag.digest, dag.version) == (dags[number - 1].digest, number)


def test_what_was_made_is_not_fetched_again() -> None:
    published, _ = history(4)
    fetched: list[int] = []
    found = Versions(lambda run, version: fetched.append(version) or published[run, version])  # type: ignore[func-returns-value]
    for number in (2, 2, 4, 4):
        found.dag("run-1", number)
    assert fetched == [2, 1, 4, 3]


def test_a_worker_that_lives_long_forgets_old_graphs_and_makes_them_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "REMEMBERED", 2)
    published, dags = history(6)
    found = Versions(lambda run, version: published[run, version])
    for number in (1, 2, 3, 4, 5, 6, 1, 6):
        assert found.dag("run-1", number).digest == dags[number - 1].digest
        assert len(found._dags) <= 2


def test_many_threads_may_ask_at_once() -> None:
    published, dags = history(8)
    found, wrong = Versions(lambda run, version: published[run, version]), []

    def asks(number: int) -> None:
        if found.dag("run-1", number).digest != dags[number - 1].digest:
            wrong.append(number)

    threads = [threading.Thread(target=asks, args=(1 + n % 8,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
