"""The versions of runs as a worker sees them: the first as a whole graph, later ones as changesets on it."""

from __future__ import annotations

from collections.abc import Callable

from ..core.base.codec import loads
from ..core.dag.dag import Dag


class Versions:
    """Graphs of versions, made when somebody asks for them; `fetch(run, version)` gives what was published."""

    def __init__(self, fetch: Callable[[str, int], bytes]) -> None:
        self._fetch = fetch
        self._dags: dict[tuple[str, int], Dag] = {}

    def dag(self, run: str, version: int) -> Dag:
        """The graph of a version."""
        missing = []
        while (run, version) not in self._dags:
            value = loads(self._fetch(run, version))
            if isinstance(value, Dag):
                self._dags[run, version] = value.numbered(version)
                break
            missing.append((version, value))
            version -= 1
        for number, change in reversed(missing):
            self._dags[run, number] = self._dags[run, number - 1].apply(change).numbered(number)
        return self._dags[run, missing[0][0] if missing else version]
