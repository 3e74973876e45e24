"""A process's session with a lab: it opens the store, leads or follows, sends commands, and leaves.

Why it is apart from `Lab`: what a lab offers is the same whether this process leads or not, and only here it makes a
difference. A session begins as `Entrance` lets it in; one that follows is promoted when it is asked for something that
only a leader does and nobody leads any more. It knows agents by their functions only, and runs by their ids: what these
mean is the lab's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..core.base.errors import LabInUse, Refused
from ..ports import Store, StoreAway
from ..runtime.controller import Controller
from ..runtime.desk import Functions
from ..runtime.reach import Asked, Reach
from ..runtime.regions import Outlook
from ..runtime.remote import Remote
from ..runtime.thread import LoopThread
from .entrance import Entrance, refuse_unled
from .live import Announcement
from .rows import summary_of
from .waiting import answer

T = TypeVar("T")


class Session:
    """Opened when it is made; raises what `Entrance.enter` does. `doors`: of the leader, here or elsewhere."""

    doors: Controller | Remote

    def __init__(self, entrance: Entrance, leader: bool | None, announced: Announcement) -> None:
        self._entrance, self._announced = entrance, announced
        self._functions: dict[str, Functions] = {}
        self._left: list[Remote] = []
        self.thread = LoopThread("hexdag-controller")
        self.thread.start()
        try:
            self.doors = self.thread.run(entrance.enter(leader))
        except BaseException:
            self.thread.run(entrance.store.close())
            self._end()
            raise
        announced.made(self.leads)
        self.outlook = Outlook(entrance.store, entrance.region) if entrance.region else None
        self._later: Reach | Outlook = self.outlook or Reach(entrance.store)

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """The result of something that is done on the session's own loop."""
        return self.thread.run(work, timeout)

    def in_store(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """The result of something that is asked of the store, and may as well be asked later. Raises `StoreAway`, and
        at once where the store has not answered before."""
        return self.run(self._later.asked(work))

    def in_store_apart(self, work: Callable[[Asked], Coroutine[Any, Any, None]]) -> None:
        """Start something that asks the store so, by what it is given; nobody waits for it."""
        self.thread.submit(work(self._later.asked))

    # -- leading and following

    @property
    def leads(self) -> bool:
        """Whether this process leads the lab."""
        return isinstance(self.doors, Controller)

    @property
    def led(self) -> bool:
        """Whether any process leads the lab now, or will in a moment, because it stands by."""
        return self.leads or self.run(self._entrance.led())

    def lead_if_free(self) -> None:
        """Take the lead if nobody has it any more, or let the process take it that is to lead."""
        if self._entrance.launch is not None:
            self.run(self._entrance.summon())
        if self.leads or not self._entrance.may_lead:
            return
        controller = self.run(self._entrance.lead())
        if controller is not None and isinstance(self.doors, Remote):
            self._left.append(self.doors)  # who waits on its feeds goes on waiting there
            self.doors = controller
            self._announced.made(self.leads)
            for agent, functions in self._functions.items():
                self.run(controller.register(agent, functions))

    def must_lead(self, what: str) -> None:
        """Lead, or raise `LabInUse`: this cannot be done from another process."""
        self.lead_if_free()
        if not self.leads:
            raise _in_use(what)

    def must_be_led(self, what: str) -> None:
        """Lead, or be led by a process that does so for others, or raise `LabInUse`."""
        self.lead_if_free()
        if not self.leads and not self.run(self._entrance.served()):
            raise _in_use(what)

    def look_after(self, busy: Callable[[], bool]) -> None:
        """Start the process that leads again, should it end while we are `busy`; for as long as the session lasts."""
        if self._entrance.launch is not None and isinstance(self.doors, Remote):
            self.thread.submit(self._entrance.look_after(busy, self.doors.fail))

    # -- what is said

    def look_out(self) -> None:
        """Look whether this region is cut off, and tell the others what was seen here; if there are regions."""
        if self.outlook is not None:
            self.thread.submit(self.outlook.keep(lambda: self.doors.seqs()))

    def register(self, agent: str, functions: Functions) -> None:
        """An agent's functions are called in this process while it lives, whoever leads."""
        self._functions[agent] = functions
        if functions.vote or functions.on_event:
            self.run(self.doors.register(agent, functions))

    def command(self, run: str, message: Any) -> Any:
        """The leader's answer to a command. Raises the `Refused` that it may be, and `StoreAway` at once where this
        region is known to be cut off."""
        if self.outlook is not None and (away := self.outlook.why) is not None:
            raise StoreAway(f"{away}: nothing is decided here until it is back; drafts can be edited meanwhile")
        if not self.led:
            if self._entrance.launch is None:
                refuse_unled(self.doors.feed(run).state, run, self._signed(run, message))
            self.lead_if_free()
        try:
            value = answer(self.doors.command(run, self._signed(run, message)))
        except Refused as refused:
            if self.leads or refused.rule != "replayed":
                raise
            # Another process has signed for the same agent meanwhile: once more, with a higher counter.
            value = answer(self.doors.command(run, self._signed(run, message)))
        if not self.leads:  # the answer may be here before the journal is
            seq = self.run(summary_of(self._entrance.store, run))["seq"]
            self.doors.feed(run).until(lambda state: state.seq >= seq).result(10)
        return value

    def drain(self, worker: str, timeout: float | None) -> None:
        """Let a worker of the leader's leave. Raises the `Refused` that it may be; TimeoutError after some seconds."""
        self.lead_if_free()
        if not self.led:
            raise Refused("nobody leads this lab now, so it has no workers", rule="no-leader", fix="open it to lead it")
        answer(self.doors.drain(worker), timeout)

    def _signed(self, run: str, message: Any) -> Any:
        """The message as another process has to send it; the leader itself signs what comes from its own."""
        return message if self.leads else self._entrance.keys.signed(self.doors.feed(run).state, message)

    # -- the end

    def close(self) -> None:
        """End what was started here, and let somebody else lead."""
        self._announced.taken_back()
        try:
            self.run(self._shut(), 30)
        finally:
            self._end()

    async def _shut(self) -> None:
        for doors in (self.doors, *self._left):
            await doors.close()
        await self._entrance.store.close()

    def _end(self) -> None:
        self.thread.stop()
        if self._entrance.temporary is not None:
            self._entrance.temporary.cleanup()


def _in_use(what: str) -> LabInUse:
    text = f"another process leads this lab, so this one cannot {what}; watch, propose and vote work"
    return LabInUse(f"{text}, and in a lab that `hexdag-lab up` leads all does")
