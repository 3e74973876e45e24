"""A call that has so many seconds. What runs out of time is stopped, if it can be, and never left without a word.

An awaitable is cancelled. Into the thread of anything else an error is put, which Python raises at its next line; a
call that does not return to Python (a `sleep`, a query, a long computation in C) cannot be stopped: its thread is a
*stray*, which is counted and said, and its process is one to be replaced.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

GRACE = 0.5  #: seconds that a call has for ending once it was stopped


class Stopped(BaseException):
    """Raised in code that has run out of time. No Exception, so that `except Exception` in a node lets it pass."""


class Running:
    """A call that is going on, which can be asked to stop from another thread."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None

    def result(self, value: Any) -> Any:
        """What a function returned; an awaitable is awaited."""
        return asyncio.run(self._awaited(value)) if inspect.isawaitable(value) else value

    async def _awaited(self, value: Any) -> Any:
        self._task = asyncio.current_task()
        return await value

    def stop(self, thread: threading.Thread) -> None:
        """Ask it to stop; `thread` is where it runs."""
        if self._task is not None:
            with suppress(RuntimeError):  # its loop is closed: it has just ended
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        elif thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stopped))


_strays: list[threading.Thread] = []
_strays_lock = threading.Lock()


def strays() -> int:
    """How many threads of this process go on with calls that have run out of time."""
    with _strays_lock:
        _strays[:] = [thread for thread in _strays if thread.is_alive()]
        return len(_strays)


def within(seconds: float, call: Callable[[Running], Any], stray: Callable[[], str]) -> Any:
    """The result of a call, or TimeoutError after so many seconds. `stray` does what is to be done about a thread that
    cannot be stopped, and says it."""
    box: list[tuple[bool, Any]] = []
    running = Running()

    def run() -> None:
        with suppress(Stopped):
            try:
                box.append((True, call(running)))
            except BaseException as error:
                box.append((False, error))

    thread = threading.Thread(target=run, name="hexdag-attempt", daemon=True)
    thread.start()
    thread.join(min(seconds, threading.TIMEOUT_MAX))
    if thread.is_alive():
        raise TimeoutError(f"no result after {seconds:g} s; {_ended(thread, running, stray)}")
    ok, value = box[0]
    if not ok:
        raise value
    return value


def _ended(thread: threading.Thread, running: Running, stray: Callable[[], str]) -> str:
    """Stop a call that has run out of time; what came of it."""
    running.stop(thread)
    thread.join(GRACE)
    if not thread.is_alive():
        return "it was stopped"
    with _strays_lock:
        _strays.append(thread)
    count = strays()
    return f"its thread does not stop ({count} such thread{'s' * (count != 1)} in this process): {stray()}"
