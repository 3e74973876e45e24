"""`Trail`: which attempts have begun in a worker's process, in a file that outlives it.

What a worker says of a start is some milliseconds on its way, and dies with it. The file does not, however the process
ends: so whoever has the folder, as a lab has that of its own cluster, can tell what had begun from what only waited.
"""

from __future__ import annotations

import re
from io import FileIO
from pathlib import Path

MOST = 1 << 20  #: bytes, after which a trail is begun anew; the one before is kept
SUFFIX = ".begun"

Attempt = tuple[str, str, int]


class Trail:
    """Of one lab in one worker. Each line is one unbuffered write, whole however the process ends."""

    def __init__(self, folder: str, topic: str, address: str, worker: str) -> None:
        self._path, self._worker = trail_of(Path(folder), topic, address), worker
        self._size, self._file = 0, self._begin()

    def _begin(self) -> FileIO:
        return FileIO(self._path, "w")

    def mark(self, attempt: Attempt) -> None:
        """An attempt begins."""
        run, node, fence = attempt
        self._size += self._file.write(f"{self._worker}\t{run}\t{fence}\t{node}\n".encode())
        if self._size > MOST:
            self._file.close()
            self._path.replace(self._path.with_suffix(f"{SUFFIX}-before"))
            self._size, self._file = 0, self._begin()


def trail_of(folder: Path, topic: str, address: str) -> Path:
    """Where the trail of a lab (by its topic) in a worker (by its address) is."""
    return folder / f"{topic}-{re.sub(r'[^0-9A-Za-z]+', '-', address)}{SUFFIX}"


def begun(path: Path) -> dict[Attempt, str]:
    """What a trail has: attempts, and the worker's name; nothing if there is none."""
    found = {}
    for each in (path.with_suffix(f"{SUFFIX}-before"), path):
        for line in each.read_text("utf-8").splitlines() if each.exists() else []:
            worker, run, fence, node = line.split("\t", 3)
            found[run, node, int(fence)] = worker
    return found
