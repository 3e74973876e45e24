"""`Past`: the events of a run so far. Those from before a snapshot stay in the journal until somebody looks at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

Read = Callable[[], Sequence[Any]]


class Past(Sequence[Any]):
    """Events in order, the first with seq 1. `read` gives the first `unread` ones: once, on the reader's thread, and
    nobody who adds events waits for it."""

    def __init__(self, events: Iterable[Any] = (), unread: int = 0, read: Read | None = None) -> None:
        self._events, self.unread, self._read = list(events), unread, read
        self._reading, self._swapping = threading.Lock(), threading.Lock()

    def extend(self, events: Iterable[Any]) -> None:
        """What has happened since."""
        with self._swapping:
            self._events.extend(events)

    def __len__(self) -> int:
        with self._swapping:
            return self.unread + len(self._events)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        with self._swapping:
            unread, count = self.unread, self.unread + len(self._events)
            if isinstance(index, slice):
                start, stop, step = index.indices(count)
                if step > 0 and start >= unread:
                    return self._events[start - unread : max(stop - unread, 0) : step]
            elif unread <= (place := index + count if index < 0 else index) < count:
                return self._events[place - unread]
        return self._all()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def _all(self) -> list[Any]:
        with self._reading:
            if self.unread and self._read is not None:
                older = self._read()
                with self._swapping:
                    self._events[:0], self.unread = older, 0
        return self._events
