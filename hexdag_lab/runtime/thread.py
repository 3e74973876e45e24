"""Threads: an event loop on one of its own, so that a busy notebook cell stops neither votes nor dispatch; and one for
each call of code that is not ours.

All are daemons: a node or an agent that never returns does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN = 0.5  #: seconds until a task that goes on is cancelled again
TURN = 0.0005  #: seconds; Python's own is ten times that


class _Turns:
    """How long a thread that computes keeps the interpreter while others wait: less, as long as a loop of ours runs.

    A change waits for that half a dozen times until it is dispatched. The setting is the process's: the last loop puts
    it back, unless somebody else has set it meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops = 0
        self._before = self._ours = 0.0

    def shorten(self) -> None:
        with self._lock:
            self._loops += 1
            if self._loops == 1:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(TURN, self._before))
                self._ours = sys.getswitchinterval()

    def put_back(self) -> None:
        with self._lock:
            self._loops -= 1
            if not self._loops and sys.getswitchinterval() == self._ours:
                sys.setswitchinterval(self._before)


_turns = _Turns()


class LoopThread:
    """`start`, then `run(coroutine)` from any other thread."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        _turns.shorten()
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop; its result comes in the future."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """The result of a coroutine that runs on the loop."""
        return self.submit(work).result(timeout)

    @property
    def here(self) -> bool:
        """Whether this is the loop's own thread, where waiting for it would wait for ever."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        """End the loop and the thread; unfinished tasks are cancelled. What hangs is left behind after 10 seconds."""
        if self.loop.is_closed():
            return
        with suppress(TimeoutError):
            self.run(_cancel_all(), 10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()
            _turns.put_back()


async def _cancel_all() -> None:
    loop = asyncio.get_running_loop()
    await cancelled(task for task in asyncio.all_tasks() if task is not asyncio.current_task())
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended. Code of others may swallow a cancellation: it is told again."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=AGAIN)
        for task in ended:
            if not task.cancelled():
                task.exception()  # looked at: nobody else will


async def on_thread(call: Callable[[], T], name: str) -> T:
    """The result of a call on a thread of its own. One that never ends can be cancelled here, and goes on there.

    Whatever the call raises comes as an `Exception`: also SystemExit, which would end the event loop."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)

    def run() -> None:
        value, failed = None, None
        try:
            value = call()
        except Exception as error:  # the call's own: it is raised where the call is waited for
            failed = error
        except BaseException as error:
            failed = RuntimeError(f"{type(error).__name__}: {error}")
            failed.__cause__ = error
        with suppress(RuntimeError):  # the loop is closed, and whoever waited with it
            loop.call_soon_threadsafe(settle, value, failed)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await result
