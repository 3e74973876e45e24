"""Timers: when the runs that are led want a tick: for a retry, the deadline of a vote, a budget of time, a move.

What is due and when is in a run's state, so nothing is set and nothing is lost when another process goes on; here it is
only compared with the clock, which the core does not have. A run that is due again and again gets its ticks apart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..core.machine import messages as ms
from ..core.machine.state import RunState
from .inbox import Item

TICK_EVERY = 0.05  #: seconds between ticks of one run, at least


class Timers:
    """The ticks of one controller's runs."""

    def __init__(self) -> None:
        self._ticked: dict[str, float] = {}

    def until_due(self, led: Mapping[str, RunState]) -> float | None:
        """Seconds until the next tick; None: no run waits for one."""
        dues = [due for run, state in led.items() if (due := self._due(run, state)) is not None]
        return max(0.0, min(dues) - time.time()) if dues else None

    def ticks(self, led: Mapping[str, RunState]) -> list[Item]:
        """The ticks that are due now."""
        now = time.time()
        late = [run for run, state in led.items() if (due := self._due(run, state)) is not None and due <= now]
        self._ticked |= dict.fromkeys(late, now)
        return [Item(run, ms.Tick(now)) for run in late]

    def end(self, run: str) -> None:
        """This run wants no more."""
        self._ticked.pop(run, None)

    def _due(self, run: str, state: RunState) -> float | None:
        """When a run wants its next tick: not sooner than a moment after the last one."""
        due = state.next_due()
        return None if due is None else max(due, self._ticked.get(run, 0.0) + TICK_EVERY)
