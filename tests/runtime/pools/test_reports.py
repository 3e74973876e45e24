"""How the reports of a Dask worker travel: with the end of the task, before it, in one message to the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client

import hexdag_lab as hx
from hexdag_lab.worker import outbox
from tests.runtime.kit import PATIENCE, until

pytestmark = pytest.mark.dask

SAID = "_hexdag_test_said"


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="dask", store="memory://", workers=1, grouping=False) as lab:
        until(lambda: lab.workers())
        yield lab


def listen(dask_worker: Any) -> None:
    """Write down what a worker says to its scheduler, by kinds; nothing goes by the clock alone."""
    outbox.COMPANY = 600.0
    said: list[str] = []
    send = dask_worker.batched_send

    def batched_send(message: dict[str, Any]) -> None:
        said.append(f"{message['op']} {message.get('msg', '')}")
        send(message)

    dask_worker.batched_send = batched_send
    setattr(dask_worker, SAID, said)


def said(dask_worker: Any) -> list[str]:
    return list(getattr(dask_worker, SAID))


def deafen(dask_worker: Any) -> None:
    """Make a worker one of a Dask that takes no plugins."""
    dask_worker.plugin_add = None


def chain() -> hx.Dag:
    nodes = [hx.NodeSpec(f"n{i}", lambda **ups: 1).after(*([f"n{i - 1}"] if i else [])) for i in range(5)]
    return hx.Dag.of(*nodes)


def test_the_end_of_an_attempt_is_told_right_before_the_end_of_its_task(lab: hx.Lab) -> None:
    with Client(lab.doors._pool.address, set_as_default=False) as client:
        client.run(listen)
        lab.start(chain()).wait(PATIENCE)
        until(lambda: str(client.run(said)).count("task-finished") == 5, "also the last task has ended")
        (told,) = client.run(said).values()
    ends = [number for number, line in enumerate(told) if line.startswith("task-finished")]
    for number, end in enumerate(ends):
        report = told[end - 1]
        assert report.startswith("log-event")
        assert '"!":"Succeeded"' in report
        assert f'"node":"n{number}"' in report


def test_a_dask_without_such_a_plugin_tells_it_all_the_same(lab: hx.Lab) -> None:
    with Client(lab.doors._pool.address, set_as_default=False) as client:
        client.run(deafen)
        assert lab.start(chain()).wait(PATIENCE)["n4"] == 1
