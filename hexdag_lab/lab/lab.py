"""`Lab`: what a notebook opens. It puts a store, a pool and a controller together, and adds agents and runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from ..agents import Agent, HumanAgent, name_of
from ..core.base.errors import HexdagError, LabInUse, Refused
from ..core.base.frozen import FrozenDict
from ..core.dag.catalog import Catalog
from ..core.dag.dag import Dag
from ..core.dag.node import exact
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.region import Region
from ..core.runs.worker import Worker
from ..core.votes.agent import Seat
from ..core.votes.budget import Budget
from ..core.votes.policy import Policy
from ..core.votes.presets import policy_of
from ..core.votes.proposal import ProposalState
from ..core.votes.trust import Standing, standing
from ..ports import Durability, Store
from ..runtime.controller import Controller
from ..runtime.desk import Functions
from ..runtime.feed import Feed
from ..runtime.history import drafts_of
from ..runtime.notifier import Notifier
from ..runtime.pools import checked_regions
from ..runtime.reach import Asked
from ..runtime.regions import regions_seen
from ..runtime.remote import Remote
from ..runtime.webhook import Webhook
from . import registry
from .bench import Bench
from .draft import SharedDraft
from .entrance import Entrance
from .inputs import check_start
from .launch import Launch
from .live import Announcement
from .places import key_of, login
from .proposal import ProposalHandle
from .rows import GOING_ON, RunRow, checked_id
from .run import Run
from .runs import Runs
from .seats import EXECUTOR, seat_of, seats_of
from .session import Session

DEFAULT_STORE = "sqlite:///.hexdag/lab.db"

T = TypeVar("T")


class Lab:
    """A lab: workers, a journal, agents, and the runs they change.

    pool     "dask" (a cluster of the lab's own), "inline", a scheduler address, or a `distributed.Client`
    store    "sqlite:///path", "memory://", "redis://host", "etcd://host,host,host", "consul://host", or a `Store`
    blobs    where big results go, an fsspec URL; default: beside the store
    policy   who decides: a policy or "solo", "pair", "owners", "committee", "autopilot"
    workers, threads   of the lab's own pool;  standby   further workers of it that take the place of one that fails
    regions  instead of a pool, one for each region by its name: {"eu": "tcp://…", "us": "tcp://…"}; nodes say where
             they run, requires={"region:eu"}
    region   of these the one in which this process is
    owner    default: the login name
    grouping  whether nodes that are measured to be short may share a task of a Dask pool's; all else is their own
    leader   None: lead if nobody else does, else be a remote handle; True: lead or raise `LabInUse`; False: never lead
    controller   "here": in this process; "process": in one of its own, which is started unless there is one, as
             `hexdag-lab up` does. This one talks to it through the store, and when it ends, the other goes on

    `Lab(...)` twice in one process on one store gives the same lab. Use it as a context manager, sync or async, or
    `close()` it. Raises `StoreUnavailable`, `PoolUnavailable` within 5 seconds.
    """

    _open: bool = False
    policy: Policy
    catalog: Catalog

    def __new__(cls, pool: Any = "dask", store: Any = DEFAULT_STORE, **_: Any) -> Lab:
        with registry.LOCK:
            live = registry.live(key_of(store))
            if live is not None and live.doors.broken is not None:
                live.close()  # it lost its lead or its pool; whoever opens the lab again wants a working one
                live = None
            return live or super().__new__(cls)

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
        standby: int = 0,
        owner: str | HumanAgent | None = None,
        leader: bool | None = None,
        controller: str = "here",
        regions: Mapping[str, Any] | None = None,
        region: str = "",
        grouping: bool = True,
    ) -> None:
        with registry.LOCK:
            if self._open:  # the live lab of this store: only what later runs start with can change
                self.policy = policy_of(policy) if policy is not None else self.policy
                self.catalog = catalog or self.catalog
                if leader:
                    self._must_lead("lead it")
                if controller == "process" and self.leads:
                    raise LabInUse("this process leads this lab itself; close it, then another one can")
                return
            if controller not in ("here", "process") or (controller == "process" and leader is not None):
                raise ValueError(f'controller is "here", or "process" and no leader=; not {controller!r}, {leader!r}')
            if regions is not None:
                checked_regions(regions, region, pool)
                pool = regions
            self.policy = policy_of("solo" if policy is None else policy)
            self.catalog = catalog or Catalog()
            self._agents: dict[str, Agent] = {}
            self._drafts: dict[str, SharedDraft] = {}
            self.owner: Agent = HumanAgent(owner or login()) if not isinstance(owner, Agent) else owner
            self._store_key = key_of(store)
            own = (pool, store, blobs, workers, threads, standby)
            launch = Launch.of(*own, self.owner.id, region, grouping) if controller == "process" else None
            may_lead = leader is not False and launch is None
            self._entrance = Entrance.of(*own, may_lead, launch=launch, region=region, grouping=grouping)
            self._store, self.shipping, self.keys = self._entrance.store, self._entrance.shipping, self._entrance.keys
            self._notifiers: dict[Webhook, Notifier] = {}
            self._session = Session(self._entrance, leader, Announcement(store, self.owner.id))
            self._runs = Runs(self, self._session, self._entrance, self._agents)
            self._open = True
            registry.opened(self, self._store_key)
            self._session.look_after(lambda: bool(self.going_on()))
            self._session.look_out()
            if isinstance(owner, Agent) and (self.leads or launch is not None):
                self.add_agent(owner)

    @property
    def doors(self) -> Controller | Remote:
        """The controller, or what stands for it here while another process leads."""
        return self._session.doors

    @property
    def leads(self) -> bool:
        """Whether this process leads the lab."""
        return self._session.leads

    @property
    def led(self) -> bool:
        """Whether any process leads the lab now, or will in a moment, because it stands by."""
        self._check_open()
        return self._session.led

    @property
    def durability(self) -> Durability:
        """What an acknowledged commit survives: a killed process, a power cut, the loss of the leading server."""
        return self._store.durability

    # -- agents

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The lab's agents by name, its owner among them."""
        return {self.owner.id: self.owner, **self._agents}

    def add_agent(self, agent: Agent) -> Agent:
        """Let an agent take part, in runs to come and in those that are going on. Its functions are called in this
        process while it lives, also if another one leads."""
        if not isinstance(agent, Agent):
            raise TypeError(f"add_agent takes an Agent or a HumanAgent, not {type(agent).__name__}")
        self._must_be_led("add an agent")
        seat = seat_of(agent, self.shipping, self.keys, self.doors.desk_id)
        self._agents[agent.id] = agent
        if agent == self.owner:
            self.owner = agent
        agent.bench = Bench(self)
        self._session.register(agent.id, Functions(agent.vote, agent.on_event, agent.seconds))
        for run in self.going_on():
            self.command(run, ms.Join(time.time(), seat))
        return agent

    def seats(self) -> tuple[Seat, ...]:
        """What runs have to know of the agents, by name."""
        return seats_of(self.owner, self._agents, self.shipping, self.keys, self.doors.desk_id)

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

        `budget`: a `Budget` of time, money and nodes, or a number: money. At its limit the run pauses and asks.

        Raises `UnboundParameter` for unknown or missing inputs, `SchemaError` for code that cannot be shipped.
        """
        given = dict(inputs or {})
        check_start(dag, given, schedule, {EXECUTOR, *self.agents})
        self._must_be_led("start a run")
        kept = FrozenDict({name: self.shipping.keep(value) for name, value in given.items()})
        rule = self.policy if policy is None else policy_of(policy)
        limit = budget if budget is None or isinstance(budget, Budget) else Budget(cost=exact(budget, "budget"))
        return self._runs.start(self.shipping.dag(dag), kept, FrozenDict(), run_id, schedule, rule, limit)

    def going_on(self) -> tuple[str, ...]:
        """The runs that this lab has started or attached and that have not ended, in that order."""
        return self._runs.going_on()

    def fork(self, state: RunState, run_id: str | None = None) -> Run:
        """A new run from a state: its graph and inputs, and what had finished."""
        self._must_be_led("start a run")
        return self._runs.fork(state, run_id)

    def attach(self, run_id: str) -> Run:
        """A run of this store: go on with it if its controller is gone, else watch it; also one that has ended."""
        self._check_open()
        return self._runs.attach(run_id)

    def attached(self, run_id: str) -> Run:
        """A run to be looked at: unlike `attach`, this never goes on with one whose controller is gone, and of one
        whose journal is damaged it shows what is before that."""
        self._check_open()
        return self._runs.attached(run_id)

    def runs(self) -> list[RunRow]:
        """The runs of this store, the latest last."""
        self._check_open()
        return self._runs.listed()

    # -- drafts

    def draft(self, name: str, of: Dag | Run | None = None) -> SharedDraft:
        """The draft of that name, to be edited with others; a new one begins with a graph, or with a run's.

        Raises `Refused` where others began it with another graph."""
        self._check_open()
        return self._draft(checked_id(name, "the name of a draft")).join(of)

    def drafts(self) -> list[SharedDraft]:
        """All drafts of this store, by name, to be looked at; whoever edits one takes part in it."""
        return [self._draft(name) for name in self.in_store(drafts_of)]

    def _draft(self, name: str) -> SharedDraft:
        with registry.LOCK:
            return self._drafts.setdefault(name, SharedDraft(self, name))

    def in_store(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """The result of something that is asked of the store."""
        self._check_open()
        return self._session.in_store(work)

    def in_store_apart(self, work: Callable[[Asked], Coroutine[Any, Any, None]]) -> None:
        """Start something that asks the store, and do not wait for it."""
        self._check_open()
        return self._session.in_store_apart(work)

    # -- deciding

    def proposal(self, proposal: str) -> ProposalHandle:
        """The proposal of an id such as "run-1/p2"."""
        run, slash, _ = str(proposal).rpartition("/")
        if not slash:
            text = f"{proposal!r} is not the id of a proposal; those look like 'run-1/p2'"
            raise Refused(text, rule="unknown-proposal", fix="see lab.inbox()")
        return self.attached(run).proposal(proposal)

    def vote(
        self, proposal: str, by: Agent | str, choice: Any, reason: str = "", via: str = "notebook", **about: Any
    ) -> None:
        """Cast a ballot on a proposal by its id: see `ProposalHandle.vote`. Raises what that does."""
        self.proposal(proposal).vote(by, choice, reason, via, **about)

    def judge(self, proposal: str, good: bool, by: Agent | str | None = None, reason: str = "") -> None:
        """Say how a decided proposal turned out, or, of a rejected one, would have: from this, voters earn their trust.

        It takes a person who did not make it. Raises `NotAllowed`, `Refused`."""
        if not isinstance(good, bool):
            raise TypeError(f"good is True or False, not {good!r}")
        run = self.proposal(proposal)._run
        self.command(run, ms.Judge(time.time(), proposal, name_of(by or self.owner), good, reason))

    def trust(self, agent: Agent | str) -> Standing:
        """What an agent has earned over all runs of this store, with the evidence for every point: print it.

        `LogOdds` weighs ballots by it; to other policies the weight is the `trust` that the agent was added with."""
        self._check_open()
        seats = {seat.id: seat for seat in self.seats()}
        return standing(self._runs.lessons(), seats.get(name_of(agent)) or Seat(name_of(agent)), seats.values())

    def inbox(self) -> list[ProposalHandle]:
        """Open proposals of all runs that are going on, the most urgent first."""
        runs = [self.attached(row.id) for row in self.runs() if row.status in GOING_ON and row.led]
        opened = [(run, p) for run in runs for p in run.view.state.open_proposals()]
        found = [run.proposal(p.id) for run, p in opened if p.state is ProposalState.OPEN]
        return sorted(found, key=lambda p: (-p.priority, p.at))

    def notify(self, webhook: Webhook) -> Notifier:
        """Tell people by a webhook when a run needs them, and again before the deadline: see `HumanAgent.remind`.

        It is about the runs that this process leads, or has started or attached, until the lab is closed. What comes of
        it is counted: `.sent`, `.failed`, `.lost`, `.trouble`. No run waits for it."""
        self._check_open()
        if webhook not in self._notifiers:
            self._notifiers[webhook] = Notifier(self._watched, webhook.deliver, webhook.host)
        return self._notifiers[webhook]

    def _watched(self) -> list[RunState]:
        """The runs, as they are now, that people are told of."""
        runs = self.doors.runs() if isinstance(self.doors, Controller) else self._runs.here
        return [state for run in runs if (state := self.feed(run).state).started and not state.over]

    def workers(self) -> list[Worker]:
        """The workers as they are now: id, host, state, node, capabilities, heartbeat, memory, … (`Worker`)."""
        return self.doors.workers()

    def regions(self) -> list[Region]:
        """The regions as they are seen from here: which is home, which are cut off since when, who is behind."""
        self._check_open()
        if isinstance(self.doors, Controller):
            return self.doors.regions()
        outlook = self._session.outlook
        return self._session.run(regions_seen(self._store)) if outlook is None else outlook.regions()

    @property
    def cut_off(self) -> str | None:
        """That this region is cut off, and since when: nothing is decided here, drafts can be edited. Else None."""
        return None if self._session.outlook is None else self._session.outlook.why

    def drain(self, worker: str, timeout: float | None = None) -> None:
        """Let a worker finish what it runs, give it nothing more, move what only it has to others, and let it leave.

        Any process that has the lab open may ask for it. TimeoutError after so many seconds: it goes on leaving. Raises
        `Refused` if it is not there, or does not answer, or has results that no other worker can take."""
        self._check_open()
        self._session.drain(worker, timeout)

    async def adrain(self, worker: str) -> None:
        """`drain`, for an event loop."""
        await asyncio.to_thread(self.drain, worker)

    # -- what handles of runs and proposals need

    def feed(self, run: str) -> Feed:
        """The published states of a run."""
        return self.doors.feed(run)

    def command(self, run: str, message: Any) -> Any:
        """The leader's answer to a command. Raises the `Refused` that it may be."""
        self._check_open()
        return self._session.command(run, message)

    def dashboard(self) -> Any:
        """The dashboard's pages in a cell; `hexdag-lab serve` serves the same in a browser."""
        from ..views.dashboard import in_cell

        return in_cell(self, self.owner.id)

    # -- the end

    def close(self) -> None:
        """End what this lab started; unfinished runs can be attached again."""
        for draft in list(self._drafts.values()) if self._open else ():
            draft.leave()
        with registry.LOCK:
            if not self._open:
                return
            self._open = False
            registry.closed(self)
        for notifier in self._notifiers.values():
            notifier.end()
        self._session.close()

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
        role = "closed" if not self._open else "leads" if self.leads else "watches"
        return f"<Lab of {self.owner}, {role} {self._store_key or 'a store in memory'}>"

    def _check_open(self) -> None:
        if not self._open:
            raise HexdagError("this lab is closed; hx.Lab(…) opens it again, and lab.attach(run_id) goes on with a run")

    def _must_lead(self, what: str) -> None:
        self._check_open()
        self._session.must_lead(what)

    def _must_be_led(self, what: str) -> None:
        self._check_open()
        self._session.must_be_led(what)
