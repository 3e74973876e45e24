"""`Lab`: what a notebook opens. It puts a store, a pool and a controller together, and adds agents and runs."""

from __future__ import annotations

import asyncio
import atexit
import getpass
import json
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..agents import Agent
from ..core.base.errors import LabInUse, NotAllowed, Refused, SchemaError
from ..core.base.frozen import FrozenDict
from ..core.dag.catalog import Catalog
from ..core.dag.dag import Dag
from ..core.dag.node import exact
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from ..core.runs.value import Kept
from ..core.votes.agent import Role, Seat, weight_of
from ..core.votes.policy import Policy, policy_of
from ..ports import Store
from ..runtime import wire
from ..runtime.controller import Controller
from ..runtime.desk import Functions
from ..runtime.pools import pool_of
from ..runtime.remote import Remote
from ..runtime.seal import Seal
from ..runtime.shipping import Shipping
from ..runtime.stores import owner_id, store_of
from ..runtime.thread import LoopThread
from ..worker.blobs import blobs_of
from .proposal import ProposalHandle
from .run import Run, check_inputs
from .waiting import answer

DEFAULT_STORE = "sqlite:///.hexdag/lab.db"
EXECUTOR = "executor"

_LIVE: dict[str, Lab] = {}
_LOCK = threading.RLock()


class RunRow(NamedTuple):
    """A run in a list. `led` says whether a live process leads the lab it belongs to."""

    id: str
    status: str
    version: int
    done: int
    nodes: int
    open: int
    by: str
    started: float
    led: bool


class Lab:
    """A lab: workers, a journal, agents, and the runs they change.

    pool     "dask" (a cluster of the lab's own), "inline", a scheduler address, or a `distributed.Client`
    store    "sqlite:///path", "memory://", or a `Store`
    blobs    where big results go, an fsspec URL; default: beside the store
    policy   who decides: a policy or "solo", "pair", "committee", "autopilot"
    workers, threads   of the lab's own pool;  owner   default: the login name
    leader   None: lead if nobody else does, else be a remote handle; True: lead or raise `LabInUse`; False: never lead

    `Lab(...)` twice in one process on one store gives the same lab. Use it as a context manager, sync or async, or
    `close()` it. Raises `StoreUnavailable`, `PoolUnavailable` within 5 seconds.
    """

    _open: bool = False
    policy: Policy
    catalog: Catalog

    def __new__(cls, pool: Any = "dask", store: Any = DEFAULT_STORE, **_: Any) -> Lab:
        with _LOCK:
            key = _key(store)
            return _LIVE[key] if key in _LIVE else super().__new__(cls)

    def __init__(
        self,
        pool: Any = "dask",
        store: str | Store = DEFAULT_STORE,
        *,
        blobs: Any = None,
        policy: Policy | str | None = None,
        catalog: Catalog | None = None,
        workers: int | None = None,
        threads: int = 1,
        owner: str | None = None,
        leader: bool | None = None,
    ) -> None:
        with _LOCK:
            if self._open:  # the live lab of this store: only what later runs start with can change
                self.policy = policy_of(policy) if policy is not None else self.policy
                self.catalog = catalog or self.catalog
                return
            self.policy = policy_of("solo" if policy is None else policy)
            self.catalog = catalog or Catalog()
            self.owner = owner or _login()
            self._agents: dict[str, Agent] = {}
            self._store_key = _key(store)
            self._temporary: tempfile.TemporaryDirectory[str] | None = None
            self._store = store_of(store)
            home = self._home(store)
            blob_store = blobs_of(blobs if blobs is not None else f"file://{home / 'blobs'}")
            key_file = home / "key"
            self.shipping = Shipping(blob_store, Seal() if self._temporary else Seal.of_file(key_file))
            self._thread = LoopThread("hexdag-controller")
            self._thread.start()
            try:
                self.doors: Controller | Remote = self._thread.run(
                    self._lead_or_watch(pool, workers, threads, blob_store, leader)
                )
            except BaseException:
                self._thread.stop()
                raise
            self._open = True
            if self._store_key:
                _LIVE[self._store_key] = self
            atexit.register(self.close)

    def _home(self, store: Any) -> Path:
        """The directory beside the store: the key and, by default, the blobs are there."""
        if isinstance(store, str) and store.startswith("sqlite:///"):
            return Path(store.removeprefix("sqlite:///")).absolute().parent
        self._temporary = tempfile.TemporaryDirectory(prefix="hexdag-lab-")
        return Path(self._temporary.name)

    async def _lead_or_watch(
        self, pool: Any, workers: int | None, threads: int, blobs: Any, leader: bool | None
    ) -> Any:
        await self._store.open()
        if leader is not False:
            made = pool_of(pool, workers=workers, threads=threads, blobs=getattr(blobs, "url", None))
            if hasattr(made, "blobs"):
                made.blobs = blobs
            controller = Controller(self._store, made, self.shipping, owner_id())
            if await controller.open(wait_for_pool=not (pool == "dask")):
                return controller
            if leader:
                holder = await self._store.holder(wire.LEADER)
                await self._store.close()
                raise LabInUse(
                    f"another process leads this lab ({holder}); end it, or open the lab with leader=False"
                )
        return Remote(self._store, self.shipping, asyncio.get_running_loop())

    @property
    def leads(self) -> bool:
        """Whether this process leads the lab."""
        return isinstance(self.doors, Controller)

    # -- agents

    def add_agent(self, agent: Agent) -> Agent:
        """Let an agent take part, in runs to come and in those that are going on."""
        if not isinstance(agent, Agent):
            raise TypeError(f"add_agent takes an Agent or a HumanAgent, not {type(agent).__name__}")
        self._must_lead("add an agent")
        self._agents[agent.id] = agent
        agent.bench = _Bench(self)
        if isinstance(self.doors, Controller):
            self.doors.desk.register(agent.id, Functions(agent.vote, agent.on_event))
            for run in self.doors.runs():
                answer(self.doors.command(run, ms.Join(time.time(), self._seat(agent))))
        return agent

    @property
    def agents(self) -> Mapping[str, Agent]:
        return dict(self._agents)

    def _seat(self, agent: Agent) -> Seat:
        return Seat(
            agent.id, Role(agent.role), weight_of(agent.trust), agent.family, frozenset(agent.capabilities),
            agent.human, False, self._reference(agent.vote, agent.id), self._reference(agent.on_event, agent.id),
        )  # fmt: skip

    def _reference(self, function: Any, agent: str) -> str | None:
        if function is None:
            return None
        try:
            return self.shipping.function(function, f"a function of agent {agent}")
        except SchemaError:
            return "here"  # it closes over something that lives here only: it answers while this process does

    def _seats(self) -> tuple[Seat, ...]:
        seats = {
            self.owner: Seat(self.owner, human=True, implicit=True),
            EXECUTOR: Seat(EXECUTOR, Role.EXECUTOR),
        }
        seats |= {name: self._seat(agent) for name, agent in self._agents.items()}
        return tuple(seats[name] for name in sorted(seats))

    # -- runs

    def start(
        self,
        dag: Dag,
        inputs: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        schedule: str = "ready",
        *,
        policy: Policy | str | None = None,
        budget: Any = None,
    ) -> Run:
        """Start a run; returns at once, and the work goes on beside the notebook.

        Raises `UnboundParameter` for unknown or missing inputs, `SchemaError` for code that cannot be shipped.
        """
        if schedule not in ("ready", "waves"):
            raise ValueError(f'schedule is "ready" or "waves", not {schedule!r}')
        given = dict(inputs or {})
        check_inputs(dag, given)
        for name, spec in dag.nodes.items():
            if spec.agent is not None and spec.agent not in {self.owner, EXECUTOR, *self._agents}:
                fix = f"lab.add_agent(hx.Agent({spec.agent!r}, role='executor'))"
                raise NotAllowed(f"node {name} is given to {spec.agent!r}, whom this lab does not know", rule="agent", fix=fix)
        kept = FrozenDict({name: self.shipping.keep(value) for name, value in given.items()})
        rule = self.policy if policy is None else policy_of(policy)
        limit = None if budget is None else exact(budget, "budget")
        return self._start(self.shipping.dag(dag), kept, FrozenDict(), run_id, schedule, rule, limit)

    def _start(
        self, dag: Dag, inputs: FrozenDict[Kept], done: FrozenDict[Kept], run_id: str | None, schedule: str,
        policy: Policy, budget: Any,
    ) -> Run:  # fmt: skip
        self._must_lead("start a run")
        number = len(self._thread.run(self._store.read(wire.RUNS, 0, 1_000_000))) + 1
        while True:
            id_ = run_id or f"run-{number}"
            _check_run_id(id_)
            if run_id is None and self._thread.run(self._store.get(wire.summary(id_))) is not None:
                number += 1
                continue
            message = ms.StartRun(
                time.time(),
                id_,
                dag,
                inputs,
                policy,
                self._seats(),
                self.owner,
                self.owner,
                schedule,
                budget,
                done,
            )
            if self._thread.run(self._store.get(wire.summary(id_))) is not None:
                raise Refused(
                    f"run {id_} exists already", rule="run-exists", fix="choose another run_id, or attach it"
                )
            answer(self.doors.command(id_, message))
            self.doors.feed(id_).until(lambda state: state.started).result(30)
            return Run(self, id_)

    def fork(self, state: RunState, run_id: str | None = None) -> Run:
        """A new run from a state: its graph and inputs, and what had finished."""
        done = {
            name: rec.result
            for name, rec in state.nodes.items()
            if rec.state is NodeState.SUCCEEDED and rec.result is not None and rec.result.where != "pool"
        }
        dag = state.dag.numbered(1)
        return self._start(
            dag, state.inputs, FrozenDict(done), run_id, state.schedule, state.policy, state.budget
        )

    def attach(self, run_id: str) -> Run:
        """A run of this store: go on with it if its controller is gone, else watch it; also one that has ended."""
        if isinstance(self.doors, Controller):
            self._thread.run(self.doors.adopt(run_id, self.owner), 60)
        elif self._thread.run(self._store.get(wire.summary(run_id))) is None:
            raise Refused(
                f"there is no run {run_id!r} in this store", rule="unknown-run", fix="see lab.runs()"
            )
        run = Run(self, run_id)
        self.doors.feed(run_id).until(lambda state: state.started).result(30)
        return run

    def runs(self) -> list[RunRow]:
        """The runs of this store, the latest last."""
        return self._thread.run(self._runs())

    async def _runs(self) -> list[RunRow]:
        holder = await self._store.holder(wire.LEADER)
        rows = []
        for row in await self._store.read(wire.RUNS, 0, 1_000_000):
            id_ = row.data.decode()
            found = await self._store.get(wire.summary(id_))
            if found is not None:
                s = json.loads(found.data)
                led = holder is not None and (not self.leads or id_ in self.doors.runs())
                rows.append(
                    RunRow(
                        id_,
                        s["status"],
                        s["version"],
                        s["done"],
                        s["nodes"],
                        s["open"],
                        s["by"],
                        s["started"],
                        led,
                    )
                )
        return rows

    # -- deciding

    def proposal(self, proposal: str) -> ProposalHandle:
        """The proposal of an id such as "run-1/p2"."""
        return self.attached(proposal.rpartition("/")[0]).proposal(proposal)

    def attached(self, run_id: str) -> Run:
        """A run that is watched or led already, or becomes so."""
        if self.doors.feed(run_id).state.started:
            return Run(self, run_id)
        return self.attach(run_id)

    def vote(self, proposal: str, by: str, choice: Any, reason: str = "", via: str = "notebook") -> None:
        """Cast a ballot on a proposal by its id. Raises `NotAllowed`, `AlreadyDecided`, `Refused`."""
        self.proposal(proposal).vote(by, choice, reason, via)

    def inbox(self) -> list[ProposalHandle]:
        """Open proposals of all runs that are going on, the most urgent first."""
        live = [row.id for row in self.runs() if row.status in ("RUNNING", "PAUSED")]
        found = [
            run.proposal(p.id) for run in map(self.attached, live) for p in run._feed.state.open_proposals()
        ]
        return sorted(found, key=lambda p: (-p.view._proposal.priority, p.at))

    def workers(self) -> list[Any]:
        """The workers, one row each."""
        return self.doors.workers()

    # -- the end

    def close(self) -> None:
        """End what this lab started; unfinished runs can be attached again."""
        with _LOCK:
            if not self._open:
                return
            self._open = False
            _LIVE.pop(self._store_key, None)
        atexit.unregister(self.close)
        self._thread.run(self._shut(), 30)
        self._thread.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _shut(self) -> None:
        await self.doors.close()
        await self._store.close()

    async def aclose(self) -> None:
        """`close`, for an event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Lab:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        role = "leads" if self.leads else "watches"
        return f"<Lab of {self.owner}, {role} {self._store_key or 'a store in memory'}>"

    def _must_lead(self, what: str) -> None:
        if not self.leads:
            raise LabInUse(
                f"another process leads this lab, so this one cannot {what}; watch, propose and vote work"
            )


class _Bench:
    """Where an agent's own calls go."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def propose(self, agent: str, change: Any, reason: str) -> ProposalHandle:
        runs = self._lab.doors.runs()
        if not runs:
            raise Refused("no run is going on", rule="no-run", fix="lab.start(dag)")
        run = Run(self._lab, runs[-1])
        return run.propose(change(run.dag), by=agent, reason=reason)


def _key(store: Any) -> str:
    """What makes two stores the same within this process; "" for a private one."""
    if not isinstance(store, str) or store == "memory://":
        return ""
    if store.startswith("sqlite:///"):
        return f"sqlite:///{Path(store.removeprefix('sqlite:///')).absolute()}"
    return store


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "owner"


def _check_run_id(id_: str) -> None:
    if not id_ or not all(c.isalnum() or c in "-_." for c in id_) or len(id_) > 100:
        raise ValueError(f"a run id has letters, digits, '-', '_' and '.', at most 100; not {id_!r}")
