"""What nodes say of when and how they run, on threads and on Dask workers alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from tests.runtime.kit import executions, ran, until

POOLS = ["inline", pytest.param("dask", marks=pytest.mark.dask)]
WAIT = 60.0


@pytest.fixture(scope="module", params=POOLS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[hx.Lab]:
    home = tmp_path_factory.mktemp("lab")
    with hx.Lab(pool=request.param, store=f"sqlite:///{home}/lab.db", owner="dana", workers=2) as made:
        yield made


def rows(count: int = 0) -> int:
    return count


def enough(rows: int) -> bool:
    return rows > 2


@hx.node(when=enough)
def fit(rows: int) -> int:
    return rows * 2


@hx.node
def report(fit: int) -> str:
    return f"<{fit}>"


@hx.node
def summary(rows: int, fit: int | None = None) -> tuple[int, int | None]:
    return rows, fit


@pytest.mark.parametrize(("count", "fitted"), [(1, False), (5, True)])
def test_a_condition_is_asked_where_the_values_are(lab: hx.Lab, count: int, fitted: bool) -> None:
    run = lab.start(hx.Dag.of(rows, fit, report, summary), inputs={"rows.count": count})
    results = run.wait(WAIT)
    assert results["summary"] == (count, count * 2 if fitted else None)
    assert ("report" in results) is fitted
    assert run.nodes["report"].state == ("SUCCEEDED" if fitted else "SKIPPED")
    if not fitted:
        assert run.why("fit") == "its condition enough() is false"
        assert run.why("report") == "needs fit, which was skipped"
        with pytest.raises(hx.NotFinished, match="its condition enough"):
            run.result("fit")


def test_what_a_node_gets_leaves_out_what_was_skipped(lab: hx.Lab) -> None:
    def gather(**parts: int) -> list[str]:
        return sorted(parts)

    nodes = [fit.as_node(name, after="rows") for name in ("left", "right")]
    run = lab.start(hx.Dag.of(rows, summary, fit, *nodes, hx.NodeSpec("gather", gather).after("left", "right")))
    assert run.wait(WAIT)["gather"] == []
    assert run.inputs("summary") == {"rows": 0}
    assert run.debug("summary", call=lambda fn, *args, **kwargs: fn(*args, **kwargs)) == (0, None)
    assert run.inputs("gather") == {"parts": {}}


def test_a_node_skips_itself_with_its_reason(lab: hx.Lab) -> None:
    def looks() -> None:
        hx.context().skip("nothing new since monday")

    run = lab.start(hx.Dag.of(hx.NodeSpec("looks", looks)))
    assert run.wait(WAIT) == {}
    assert run.why("looks") == "nothing new since monday"


def test_a_stand_in_takes_the_place_of_a_result(lab: hx.Lab, tmp_path: Path) -> None:
    witness = str(tmp_path / "witness")

    def prices(witness: str, source: str = "exchange") -> float:
        ran(witness, "prices")
        raise ConnectionError("no route")

    def yesterday(failure: Any, source: str) -> str:
        return f"{source}: {failure.kind}"

    spec = hx.NodeSpec("prices", prices, retries=2, backoff=0, on_error=yesterday, params={"witness": witness})
    run = lab.start(hx.Dag.of(spec, hx.NodeSpec("page", lambda prices: prices.upper())))
    assert run.wait(WAIT)["page"] == "EXCHANGE: CONNECTIONERROR"
    assert executions(Path(witness)) == {"prices": 3}
    assert run.why("prices") == "on_error stands in for its result: ConnectionError: no route"
    assert run.nodes["prices"].attempt == 4


def test_an_optional_node_may_fail(lab: hx.Lab) -> None:
    def fails() -> None:
        raise OSError("gone")

    dag = hx.Dag.of(hx.NodeSpec("fails", fails, optional=True), hx.NodeSpec("goes", lambda fails=7: fails))
    run = lab.start(dag.add_node(hx.NodeSpec("needs", lambda fails: fails)))
    assert run.wait(WAIT) == {"goes": 7}
    assert run.status == "SUCCEEDED"
    assert run.nodes["fails"].state == "FAILED"
    assert run.why("needs") == "needs fails, which failed"


def test_no_more_nodes_of_a_function_are_at_work_than_it_allows(lab: hx.Lab, tmp_path: Path) -> None:
    def works(folder: str, number: int) -> int:
        mine = Path(folder) / str(number)
        mine.touch()
        most = 0
        for _ in range(10):
            most = max(most, len(list(Path(folder).iterdir())))
            time.sleep(0.005)
        mine.unlink()
        return most

    spec = hx.NodeSpec("works", works, concurrency=1, params={"folder": str(tmp_path)})
    nodes = [spec.but(name=f"works_{n}", params={**spec.params, "number": n}) for n in range(6)]
    assert set(lab.start(hx.Dag.of(*nodes)).wait(WAIT).values()) == {1}


def test_one_node_at_a_time_holds_a_lease(lab: hx.Lab, tmp_path: Path) -> None:
    def writes(door: str) -> None:
        Path(door).mkdir()
        time.sleep(0.02)
        Path(door).rmdir()

    nodes = [
        hx.NodeSpec(f"writes_{n}", writes, exclusive="warehouse", params={"door": str(tmp_path / "door")})
        for n in range(4)
    ]
    assert len(lab.start(hx.Dag.of(*nodes)).wait(WAIT)) == 4


def test_an_async_node_and_a_generator_node_give_results_like_any_other(lab: hx.Lab) -> None:
    async def waits() -> int:
        await asyncio.sleep(0)
        return 3

    def counts(waits: int) -> Iterator[int]:
        done = hx.context().restored or 0
        while done < waits:
            done += 1
            yield done
        return done * 10

    run = lab.start(hx.Dag.of(hx.NodeSpec("waits", waits, timeout=WAIT), hx.NodeSpec("counts", counts)))
    assert run.wait(WAIT)["counts"] == 30


def test_an_async_node_out_of_time_is_cancelled_and_tried_again(lab: hx.Lab, tmp_path: Path) -> None:
    async def hangs(witness: str) -> None:
        ran(witness, "hangs")
        try:
            await asyncio.sleep(600)
        finally:
            ran(witness, "cancelled")

    witness = tmp_path / "witness"
    spec = hx.NodeSpec("hangs", hangs, timeout=0.1, retries=1, backoff=0, params={"witness": str(witness)})
    run = lab.start(hx.Dag.of(spec))
    with pytest.raises(hx.RunFailed):
        run.wait(WAIT)
    assert run.nodes["hangs"].failure == "TimeoutError: no result after 0.1 s; it was stopped"
    assert executions(witness) == {"hangs": 2, "cancelled": 2}


def test_waves_are_told_to_observers_and_to_agents(lab: hx.Lab) -> None:
    seen: list[int] = []

    def looks(event: Any, context: Any) -> None:
        if event.kind == "WaveCompleted":
            seen.append(event.wave)

    lab.add_agent(hx.Agent("watcher", role="observer", on_event=looks))
    told: list[Any] = []
    run = lab.start(hx.Dag.of(rows, fit, report, summary), inputs={"rows.count": 5}, schedule="waves")
    stop = run.observe(lambda event: told.append(event))
    run.wait(WAIT)
    assert seen == [1, 2, 3]
    waves = [event for event in run.events() if event.kind == "WaveCompleted"]
    assert [(event.wave, event.waves, event.nodes) for event in waves] == [(1, 3, 1), (2, 3, 1), (3, 3, 2)]
    stop()


@pytest.mark.dask
def test_a_worker_with_a_thread_that_does_not_stop_is_replaced_and_it_is_said(tmp_path: Path) -> None:
    """A `sleep` does not come back to Python: nothing can stop it but the end of its process."""
    witness = tmp_path / "witness"

    def sleeps(witness: str, seconds: float) -> str:
        ran(witness, "sleeps")
        time.sleep(seconds)
        return "awake"

    def wakes(sleeps: str = "") -> int:
        import os

        return os.getpid()

    with hx.Lab(store="memory://", workers=1, owner="dana") as lab:
        spec = hx.NodeSpec(
            "sleeps", sleeps, timeout=0.2, optional=True, params={"witness": str(witness), "seconds": 600}
        )
        run = lab.start(hx.Dag.of(spec, hx.NodeSpec("wakes", wakes)))
        pid = run.wait(WAIT)["wakes"]
        failure = run.nodes["sleeps"].failure
        assert failure.startswith("TimeoutError: no result after 0.2 s; its thread does not stop (1 such thread")
        assert failure.endswith("this worker takes nothing more, and is replaced as soon as nothing else runs on it")
        (line,) = witness.read_text().splitlines()
        assert pid != int(line.split()[1])
        until(lambda: not Path(f"/proc/{line.split()[1]}").exists(), "the process with the stray thread is gone")
