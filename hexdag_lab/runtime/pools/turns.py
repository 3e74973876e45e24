"""`Turns`: the order in which a pool takes attempts, where it has been given more of them than it has slots."""

from __future__ import annotations

from ...core.runs.attempt import Task

LATEST = 60.0  #: seconds; what has waited for that long goes before all that is newer

Turn = tuple[float, float]
"""To be compared: which minute, and the place in it."""

FIRST: Turn = (0.0, 0.0)


class Turns:
    """Of all the runs of one pool."""

    def __init__(self) -> None:
        self._longest: dict[str, int] = {}  # by run, the longest chain of which something was submitted

    def place(self, task: Task) -> float:
        """The lowest goes first: by which share of its run's longest chain is below a task. By the length itself, a run
        with longer chains would keep all others waiting."""
        longest = self._longest[task.run] = max(task.priority, self._longest.get(task.run, 1))
        return -task.priority / longest

    def of(self, task: Task, now: float) -> Turn:
        """The turn of a task that comes at `now`, in seconds of a clock that only rises."""
        return now // LATEST, self.place(task)

    def end(self, run: str) -> None:
        """A run is over."""
        self._longest.pop(run, None)
