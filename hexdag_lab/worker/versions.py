"""The versions of runs as a worker sees them: the first as a whole graph, later ones as changesets on it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from ..core.base.codec import loads
from ..core.dag.dag import Dag

REMEMBERED = 32  #: graphs; others are made anew when somebody asks


class Versions:
    """Graphs of versions, made when somebody asks for them; `fetch(run, version)` gives what was published."""

    def __init__(self, fetch: Callable[[str, int], bytes]) -> None:
        self._fetch = fetch
        self._dags: OrderedDict[tuple[str, int], Dag] = OrderedDict()
        self._lock = threading.Lock()

    def dag(self, run: str, version: int) -> Dag:
        """The graph of a version."""
        with self._lock:
            found = self._dags.get((run, version))
            if found is None:
                found = self._dags[run, version] = self._made(run, version)
            self._dags.move_to_end((run, version))
            while len(self._dags) > REMEMBERED:
                self._dags.popitem(last=False)
            return found

    def _made(self, run: str, version: int) -> Dag:
        changes = []
        while (dag := self._dags.get((run, version))) is None:
            value = loads(self._fetch(run, version))
            if isinstance(value, Dag):
                dag = value.numbered(version)
                break
            changes.append(value)
            version -= 1
        for change in reversed(changes):
            version += 1
            dag = dag.apply(change).numbered(version)
        return dag
