"""The controller: nothing is done or shown that is not in the journal, and whoever waits gets an answer."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import HexdagError, LabInUse, NotFinished, Refused, SchemaError, StoreUnavailable
from hexdag_lab.core.machine import decide
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.ports import CommitRefused, Lease
from hexdag_lab.runtime import lead, wire
from hexdag_lab.runtime.pools.inline import InlinePool
from hexdag_lab.runtime.stores.memory import MemoryStore
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until


def one() -> int:
    return 1


def two(one: int) -> int:
    return one + 1


def held(gate: str, witness: str = "") -> int:
    if witness:
        ran(witness, "held")
    pass_gate(gate)
    return 1


def holding(gate: Path, witness: Path | None = None) -> hx.Dag:
    params = {"gate": str(gate)} | ({"witness": str(witness)} if witness else {})
    return hx.Dag.of(hx.NodeSpec("held", held, params=params))


class Watched(MemoryStore):
    """A store that can be told to break, and that knows what is in its journals."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Exception | CommitRefused | None = None

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        if isinstance(self.trouble, Exception):
            raise self.trouble
        return self.trouble or await super().commit(guards, puts, append, fence)

    def journal(self, run: str) -> int:
        return len(self._streams.get(wire.journal(run), []))


class Noted(InlinePool):
    """A pool that notes what it is asked to do, and how much was journaled by then."""

    def __init__(self, store: Watched) -> None:
        super().__init__(2)
        self.store = store
        self.asked: list[tuple[str, int]] = []

    async def submit(self, tasks: Sequence[Any], code: Any) -> None:
        self.asked += [(task.node, self.store.journal(task.run)) for task in tasks]
        await super().submit(tasks, code)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def lab(store: Watched) -> Iterator[hx.Lab]:
    with hx.Lab(pool=Noted(store), store=store, policy="solo") as lab:
        yield lab


# -- the journal comes first


def test_an_attempt_is_in_the_journal_before_the_pool_hears_of_it(lab: hx.Lab, store: Watched) -> None:
    run = lab.start(hx.Dag.of(one, two))
    run.wait(30)
    submitted = {name: e.seq for e in run.events() if e.kind == "AttemptsSubmitted" for name, _ in e.nodes}
    asked = dict(lab.doors._pool.asked)
    assert asked.keys() == submitted.keys() == {"one", "two"}
    assert all(asked[name] >= seq for name, seq in submitted.items())


def test_what_is_shown_is_in_the_journal(lab: hx.Lab, store: Watched) -> None:
    ahead: list[Any] = []

    def watch(event: Any) -> None:
        if event.seq > store.journal("run-1"):
            ahead.append(event)

    feed = lab.doors.feed("run-1")
    feed.observe(watch)
    published = feed.publish

    def publish(state: Any, events: Any) -> None:
        watch(state)
        published(state, events)

    feed.publish = publish
    lab.start(hx.Dag.of(one, two)).wait(30)
    assert not ahead


TROUBLES = [StoreUnavailable("the disk is full"), CommitRefused("fence", "leader"), RuntimeError("a bug in the store")]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: type(t).__name__)
def test_a_commit_that_fails_leaves_nothing_done_and_tells_everybody(
    lab: hx.Lab, store: Watched, gate: Path, witness: Path, trouble: Any
) -> None:
    run = lab.start(holding(gate))
    until(lambda: run.nodes["held"].state == "RUNNING")
    seq, waiting = run.seq, run.feed.until(lambda state: state.over)
    store.trouble = trouble
    change = hx.Changeset.on(run.dag).add_node(
        hx.NodeSpec("late", ran, params={"witness": str(witness), "name": "late"})
    )
    with pytest.raises((HexdagError, RuntimeError)) as told:
        run.propose(change)
    assert type(told.value) is (LabInUse if isinstance(trouble, CommitRefused) else type(trouble))
    assert type(waiting.exception(30)) is type(told.value)
    with pytest.raises(type(told.value)):
        run.wait(1)
    with pytest.raises(type(told.value)):
        run.pause()
    assert run.seq == seq
    assert [name for name, _ in lab.doors._pool.asked] == ["held"]
    open_gate(gate)


def test_a_graph_that_is_too_large_for_the_store_is_refused_alone(lab: hx.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexdag_lab.runtime.stores.LARGEST", 10_000)
    large = hx.Dag.of(*(hx.NodeSpec(f"n{n}", one) for n in range(200)))
    lab._session.thread.loop.call_soon_threadsafe(time.sleep, 0.05)  # so that both come in one step
    answers = [
        lab.doors.command(f"run-{n}", started(lab, f"run-{n}", dag)) for n, dag in ((1, large), (2, hx.Dag.of(one)))
    ]
    with pytest.raises(SchemaError, match="a store takes at most 10,000"):
        answers[0].result(30)
    assert answers[1].result(30) == "run-2"
    assert lab.attached("run-2").wait(30) == {"one": 1}
    assert [row.id for row in lab.runs()] == ["run-2"]


def started(lab: hx.Lab, run: str, dag: hx.Dag) -> ms.StartRun:
    from hexdag_lab.core.base.frozen import FrozenDict

    shipped = lab.shipping.dag(dag)
    return ms.StartRun(time.time(), run, shipped, FrozenDict(), lab.policy, lab.seats(), lab.owner.id, lab.owner.id)


# -- the lead


async def taken_over(lab: hx.Lab, store: Watched) -> Lease:
    """Another process has the lease now."""
    await store.release(lab.doors._lead.lease)
    other = await store.acquire(wire.LEADER, "elsewhere:1", 60)
    assert other is not None
    return other


def test_a_leader_whose_lease_another_one_has_steps_down(lab: hx.Lab, store: Watched, gate: Path) -> None:
    run = lab.start(holding(gate))
    other = lab._session.run(taken_over(lab, store))
    with pytest.raises(LabInUse, match="another process leads this lab now"):
        run.pause()
    until(lambda: lab.doors._down.done(), "it has stepped down")
    assert lab._session.run(store.renew(other)), "the other one's lease is left alone"
    assert isinstance(lab.doors.broken, LabInUse)
    open_gate(gate)


def test_a_leader_that_notices_only_when_it_renews_steps_down_too(
    store: Watched, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead, "LEASE_SECONDS", 0.3)
    with hx.Lab(pool="inline", store=store) as lab:
        run = lab.start(holding(gate))
        until(lambda: run.nodes["held"].state == "RUNNING")
        lab._session.run(taken_over(lab, store))
        with pytest.raises(LabInUse):
            run.wait(30)
        open_gate(gate)


def test_a_leader_that_was_asleep_goes_on_if_nobody_else_has_led(
    store: Watched, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead, "LEASE_SECONDS", 0.3)
    with hx.Lab(pool="inline", store=store) as lab:
        run = lab.start(holding(gate))
        until(lambda: run.nodes["held"].state == "RUNNING")
        lab._session.thread.loop.call_soon_threadsafe(time.sleep, 0.6)  # as a laptop that is shut
        until(lambda: lab._session.run(store.holder(wire.LEADER)) is None or lab.doors._lead.lease.token > 1)
        open_gate(gate)
        assert run.wait(30) == {"held": 1}
        assert lab.doors.broken is None


def test_a_lease_that_ran_out_before_a_commit_is_taken_again_for_it(lab: hx.Lab, store: Watched, gate: Path) -> None:
    run = lab.start(holding(gate))
    lab._session.run(store.release(lab.doors._lead.lease))
    run.pause()
    run.resume()
    open_gate(gate)
    assert run.wait(30) == {"held": 1}


def test_a_leader_that_was_asleep_steps_down_if_another_one_has_led_meanwhile(
    store: Watched, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hx.Lab(pool="inline", store=store) as lab:
        run = lab.start(holding(gate))
        until(lambda: run.nodes["held"].state == "RUNNING")

        async def meanwhile() -> None:
            await store.release(lab.doors._lead.lease)
            other = lead.Lead(store, "elsewhere:1")
            assert await other.take()
            await other.give_back()

        lab._session.run(meanwhile())
        open_gate(gate)
        with pytest.raises(LabInUse):
            run.wait(30)


def test_closing_gives_the_lead_back_even_if_something_broke(store: Watched) -> None:
    class Broken(InlinePool):
        async def close(self) -> None:
            raise RuntimeError("a pool that cannot be closed")

    hx.Lab(pool=Broken(), store=store).close()
    assert asyncio.run(store.holder(wire.LEADER)) is None


# -- bugs and edges


def test_a_bug_in_a_decision_answers_its_caller_and_stops_no_other_run(
    lab: hx.Lab, gate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(step: Any, message: Any) -> None:
        raise ZeroDivisionError("a bug")

    run = lab.start(holding(gate))
    monkeypatch.setitem(decide._HANDLERS, ms.Pause, broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run.pause()
    assert "could not be decided: Pause" in caplog.text
    assert lab.start(hx.Dag.of(one)).wait(30) == {"one": 1}
    open_gate(gate)
    assert run.wait(30) == {"held": 1}


def test_a_bug_in_what_to_do_next_stops_no_other_run(lab: hx.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    right = decide._HANDLERS[ms.Dispatch]

    def broken(step: Any, message: Any) -> None:
        if step.state.run == "bad":
            raise ZeroDivisionError("a bug")
        right(step, message)

    monkeypatch.setitem(decide._HANDLERS, ms.Dispatch, broken)
    bad = lab.start(hx.Dag.of(one), run_id="bad")
    assert lab.start(hx.Dag.of(one, two)).wait(30) == {"one": 1, "two": 2}
    assert bad.status == "RUNNING"
    monkeypatch.undo()
    bad.pause()
    bad.resume()
    assert bad.wait(30) == {"one": 1}


def test_a_pool_that_takes_nothing_fails_the_node_and_not_the_lab(store: Watched) -> None:
    class Refusing(InlinePool):
        async def submit(self, tasks: Sequence[Any], code: Any) -> None:
            if tasks[0].node == "one":
                raise OSError("the cable is out")
            await super().submit(tasks, code)

    with hx.Lab(pool=Refusing(), store=store) as lab:
        with pytest.raises(
            hx.RunFailed, match="one: AttemptLost: the pool did not take it: the cable is out; given up"
        ):
            lab.start(hx.Dag.of(one)).wait(30)
        assert lab.start(hx.Dag.of(hx.NodeSpec("other", one))).wait(30) == {"other": 1}


def test_a_pool_that_cannot_be_told_to_forget_is_no_reason_to_stop(store: Watched) -> None:
    class Deaf(InlinePool):
        async def forget(self, run: str, attempts: Any) -> None:
            raise OSError("the cable is out")

        withdraw = end = forget

    with hx.Lab(pool=Deaf(), store=store) as lab:
        assert lab.start(hx.Dag.of(one, two)).wait(30) == {"one": 1, "two": 2}


def test_a_report_about_an_unknown_run_changes_nothing(lab: hx.Lab) -> None:
    lab.doors.put("nobody", ms.Lost(time.time(), "n", 1, "why"))
    assert isinstance(lab.doors.command("nobody", ms.Pause(time.time(), "me")).result(30), Refused)
    assert lab.start(hx.Dag.of(one)).wait(30) == {"one": 1}


def test_a_refusal_that_nobody_waits_for_is_logged(lab: hx.Lab, caplog: pytest.LogCaptureFixture) -> None:
    def proposes() -> None:
        ctx = hx.context()
        ctx.propose(hx.Changeset.on(hx.Dag.of(one)).add_node(two), "based on another graph")

    with caplog.at_level(logging.WARNING):
        lab.start(hx.Dag.of(hx.NodeSpec("proposes", proposes))).wait(30)
        until(lambda: "Propose was refused: this change is not based on a version of this run" in caplog.text)


# -- waiting


def test_observers_that_are_slow_or_fail_stall_nothing(lab: hx.Lab, gate: Path, witness: Path) -> None:
    seen: list[int] = []
    stuck = threading.Event()

    def fails(event: Any) -> None:
        raise ValueError("not my day")

    run = lab.start(holding(gate))
    run.observe(lambda event: stuck.wait(60))
    run.observe(fails)
    run.observe(lambda event: seen.append(event.seq))
    from_here = run.seq
    open_gate(gate)
    assert run.wait(30) == {"held": 1}
    until(lambda: seen and seen[-1] == run.seq)
    assert seen == list(range(seen[0], run.seq + 1))
    assert seen[0] <= from_here + 1
    stuck.set()


def test_an_observer_can_be_sent_home(lab: hx.Lab, gate: Path) -> None:
    run, seen = lab.start(holding(gate)), list[Any]()
    stop = run.observe(seen.append)
    until(lambda: run.nodes["held"].state == "RUNNING")
    stop()
    count = len(seen)
    open_gate(gate)
    run.wait(30)
    assert len(seen) <= count + 1
    assert not [e for e in seen if e.kind == "RunFinished"]


def test_a_deadline_fires_by_itself(lab: hx.Lab, gate: Path) -> None:
    policy = hx.Supermajority(1) & hx.Deadline(seconds=0.3)
    lab.add_agent(hx.HumanAgent("marie"))
    lab.add_agent(hx.Agent("critic", role="orchestrator"))
    run = lab.start(holding(gate), policy=policy)
    proposal = run.propose(hx.Changeset.on(run.dag).add_node(one), by="critic")
    assert proposal.state == "OPEN"
    assert proposal.wait(30) == "EXPIRED"
    decided = proposal.view._proposal.decided_at
    assert 0.3 <= decided - proposal.at < 2
    open_gate(gate)
    run.wait(30)


def test_a_due_time_that_leads_to_nothing_does_not_make_the_loop_spin(
    lab: hx.Lab, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[float] = []
    run = lab.start(holding(gate))
    until(lambda: run.nodes["held"].state == "RUNNING")
    monkeypatch.setitem(decide._HANDLERS, ms.Tick, lambda step, m: ticks.append(m.at))
    monkeypatch.setattr(type(run.view.state), "next_due", lambda state: 1.0)
    run.pause()
    until(lambda: len(ticks) >= 4)
    assert min(after - before for before, after in pairwise(ticks)) > 0.04
    monkeypatch.undo()
    run.resume()
    open_gate(gate)
    assert run.wait(30) == {"held": 1}


def test_many_threads_may_ask_at_once(lab: hx.Lab) -> None:
    dag, results = hx.Dag.of(one, two), list[Any]()

    def asks(number: int) -> None:
        results.append(lab.start(dag, run_id=f"thread-{number}").wait(30))

    threads = [threading.Thread(target=asks, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [{"one": 1, "two": 2}] * 20


# -- the end


def test_who_waits_when_the_lab_is_closed_is_told(store: Watched, gate: Path) -> None:
    lab = hx.Lab(pool="inline", store=store)
    run = lab.start(holding(gate))
    waiting = run.feed.until(lambda state: state.over)
    doors = lab.doors
    lab.close()
    assert "lab.attach(run_id) goes on" in str(waiting.exception(30))
    assert "the lab is closed" in str(doors.command(run.id, ms.Pause(time.time(), "me")).exception(30))
    assert "the lab is closed" in str(doors.feed("another").until(lambda state: state.over).exception(30))
    open_gate(gate)


def test_what_was_finished_can_be_read_when_the_lab_is_closed(store: Watched) -> None:
    lab = hx.Lab(pool="inline", store=store)
    run = lab.start(hx.Dag.of(one, hx.NodeSpec("only_here", bytes, params={"value": 200_000}, durable=False)))
    run.wait(30)
    lab.close()
    assert run.status == "SUCCEEDED"
    assert run.result("one") == 1
    with pytest.raises(NotFinished, match="was in the workers' memory only: the lab is closed"):
        run.result("only_here")


def test_closing_waits_for_no_node_and_no_agent(store: Watched, gate: Path) -> None:
    stuck = threading.Event()
    lab = hx.Lab(pool="inline", store=store)
    lab.add_agent(hx.Agent("slow", on_event=lambda event, context: stuck.wait(60)))
    run = lab.start(holding(gate))
    until(lambda: run.nodes["held"].state == "RUNNING")
    began = time.monotonic()
    lab.close()
    assert time.monotonic() - began < 3
    stuck.set()
    open_gate(gate)


@pytest.mark.parametrize("pool", ["inline", pytest.param("dask", marks=pytest.mark.dask)])
def test_closing_leaves_no_task_no_thread_and_no_warning(
    pool: str, gate: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        for _ in range(2):
            lab = hx.Lab(pool=pool, store="memory://", workers=1)
            lab.add_agent(hx.Agent("watcher", on_event=lambda event, context: None, vote=lambda context: True))
            run = lab.start(holding(gate))
            run.observe(lambda event: None)
            until(lambda run=run: run.nodes["held"].state == "RUNNING")  # type: ignore[misc]
            run.propose(hx.Changeset.on(run.dag).add_node(one))
            lab.close()
        open_gate(gate)
        gc.collect()
        until(
            lambda: (
                not [t.name for t in set(threading.enumerate()) - before if t.name.startswith(("hexdag", "asyncio"))]
            )
        )
        gc.collect()
    assert not [str(w.message) for w in warned if not issubclass(w.category, DeprecationWarning)]
    assert "Task was destroyed" not in caplog.text
    assert "never retrieved" not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_run_that_is_over_costs_the_controller_no_work(lab: hx.Lab) -> None:
    for _ in range(5):
        lab.start(hx.Dag.of(one, two)).wait(30)
    controller = lab.doors
    assert controller.runs() == ()
    assert not controller.desk._queues
    pool = controller._pool
    until(lambda: not pool._published, "the pool forgot its graphs")
    assert not pool._held


def test_results_that_a_later_lab_reads_were_not_run_again(tmp_path: Path, witness: Path, gate: Path) -> None:
    url = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.start(holding(gate, witness))
        open_gate(gate)
        run.wait(30)
    with hx.Lab(pool="inline", store=url) as lab:
        again = lab.attach(run.id)
        assert again.wait(30) == {"held": 1}
        assert again.status == "SUCCEEDED"
    assert executions(witness) == {"held": 1}
