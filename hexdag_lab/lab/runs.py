"""The runs of a lab that this process has to do with: those that it starts, goes on with, or looks at."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..agents import Agent
from ..core.base.errors import Refused, SchemaError
from ..core.base.frozen import FrozenDict
from ..core.dag.dag import Dag
from ..core.machine import messages as ms
from ..core.machine.lessons import lessons
from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from ..core.runs.value import Kept
from ..core.votes.policy import Policy
from ..core.votes.trust import Lesson, Trust
from ..runtime import wire
from ..runtime.controller import Controller
from ..runtime.history import Journal
from . import registry
from .cells import watch_cells
from .entrance import Entrance
from .rows import GOING_ON, RunRow, checked_id, free_id, lessons_of, run_rows, summary_of
from .run import Run
from .session import Session


class Runs:
    """See above. `agents`: those that this process has added, by name; they take part in its runs."""

    def __init__(self, lab: Any, session: Session, entrance: Entrance, agents: Mapping[str, Agent]) -> None:
        self._lab, self._session, self._agents = lab, session, agents
        self._store, self._journal = entrance.store, Journal(entrance.store, entrance.blobs, entrance.shipping.key)
        self._here: list[str] = []

    @property
    def here(self) -> tuple[str, ...]:
        """Those that were started or attached here, in that order."""
        return tuple(self._here)

    def going_on(self) -> tuple[str, ...]:
        """Of these, those that have not ended."""
        return tuple(run for run in self._here if not self._lab.feed(run).state.over)

    def listed(self) -> list[RunRow]:
        """All runs of the store, the latest last."""
        return self._session.run(run_rows(self._store, set(self._here) if self._lab.leads else None))

    def lessons(self) -> list[Lesson]:
        """What all runs have taught: of those that go on here, as they are at this moment."""
        here = {run: lessons(self._lab.feed(run).state) for run in self.going_on()} if self._lab.leads else {}
        return self._session.run(lessons_of(self._store, self._journal, here))

    # -- starting

    def start(
        self, dag: Dag, inputs: FrozenDict[Kept], done: FrozenDict[Kept], run_id: str | None, schedule: str,
        policy: Policy, budget: Any,
    ) -> Run:  # fmt: skip
        """Start a run of a shipped graph. `done`: the results that it begins with."""
        id_ = self._session.run(free_id(self._store)) if run_id is None else checked_id(run_id)
        if self._session.run(self._store.get(wire.summary(id_))) is not None:
            raise Refused(f"run {id_} exists already", rule="run-exists", fix="choose another run_id, or attach it")
        lab, by = self._lab, self._lab.owner.id
        trust = Trust().after(self.lessons()) if policy.learns() else Trust()
        message = ms.StartRun(
            time.time(), id_, dag, inputs, policy, lab.seats(), by, by, schedule, budget, done, trust,
            lab.catalog.listed,
        )  # fmt: skip
        lab.doors.desk.catalog = lab.catalog
        try:
            lab.command(id_, message)
        except Refused as refused:
            if run_id is not None or refused.rule != "run-exists":
                raise
            return self.start(dag, inputs, done, None, schedule, policy, budget)  # another client took the name
        lab.feed(id_).until(lambda state: state.started).result(30)
        self._works_on(id_)
        return Run(lab, id_)

    def fork(self, state: RunState, run_id: str | None) -> Run:
        """A new run from a state: its graph and inputs, and what had finished."""
        done = {
            name: rec.result
            for name, rec in state.nodes.items()
            if rec.state is NodeState.SUCCEEDED and rec.result is not None and rec.result.where != "pool"
        }
        dag = state.dag.numbered(1)
        return self.start(dag, state.inputs, FrozenDict(done), run_id, state.schedule, state.policy, state.budget)

    def _works_on(self, run_id: str) -> None:
        """From now on it is a run of this process: its agents join it, cells are watched for new code of its nodes."""
        if run_id not in self._here:
            self._here.append(run_id)
        watch_cells(registry.going_on)

    # -- going on, and looking

    def attach(self, run_id: str) -> Run:
        """A run of the store: go on with it if its controller is gone, else watch it."""
        self._follow(run_id)
        self._works_on(run_id)
        return Run(self._lab, run_id)

    def attached(self, run_id: str) -> Run:
        """A run to be looked at: nobody goes on with it for that."""
        lab = self._lab
        if not lab.feed(run_id).state.started:
            if lab.leads and self._summary(run_id)["status"] in GOING_ON:
                text = f"nobody goes on with run {run_id} now"
                raise Refused(text, rule="orphaned", fix=f"lab.attach({run_id!r})")
            try:
                self._follow(run_id)
            except SchemaError:
                if not lab.feed(run_id).state.started:
                    raise
        return Run(lab, run_id)

    def _follow(self, run_id: str) -> None:
        """Go on with a run that nobody leads, if that may be here, and wait for its state."""
        lab = self._lab
        self._session.lead_if_free()
        summary = self._summary(run_id)
        lab.doors.desk.catalog = lab.catalog
        if isinstance(lab.doors, Controller):
            self._session.run(lab.doors.adopt(run_id, lab.owner.id), 60)
        else:
            lab.doors.again(run_id)
        if lab.leads or self._agents:
            self._works_on(run_id)
        state = lab.feed(run_id).until(lambda state: state.started and state.seq >= summary["seq"]).result(30)
        if not lab.leads and not state.over:
            for seat in lab.seats():  # who was added here is asked in this process from now on
                if seat.id in self._agents and state.seats.get(seat.id) != seat:
                    lab.command(run_id, ms.Join(time.time(), seat))

    def _summary(self, run_id: str) -> dict[str, Any]:
        return self._session.run(summary_of(self._store, run_id))
