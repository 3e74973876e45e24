"""An error of a node as data: what people are shown of it, which is the user's own lines."""

from __future__ import annotations

import linecache
import os
import re
import traceback
from itertools import zip_longest
from pathlib import Path

from ..core.base.errors import HexdagError
from ..core.runs.run import Failure

LONGEST_MESSAGE, LONGEST_TRACE = 10_000, 20_000  #: characters
CAUSES = 5  #: errors that one came from, at most, that are shown


def failure_of(error: BaseException) -> Failure:
    """An exception as data, with the traceback of the user's own lines."""
    try:
        message = str(error)
    except Exception as broken:  # an exception is any class's own code
        message = f"(its text cannot be had: {type(broken).__name__})"
    try:
        trace = _trace(error)
    except Exception:  # reading sources runs loaders, which are anybody's code
        trace = ""
    return Failure(type(error).__name__, message[:LONGEST_MESSAGE], trace[-LONGEST_TRACE:])


def _trace(error: BaseException, causes: int = CAUSES) -> str:
    """The user's lines, the outermost first; before them those of the errors that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _ours(frame.filename)]
    text = "".join(traceback.format_list(frames))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is None or not causes or isinstance(error, HexdagError):  # what led to an error of ours is in its message
        return text
    earlier = _trace(cause, causes - 1)
    return f"{earlier}{type(cause).__name__}: {cause}\n\nand then:\n{text}" if earlier else text


def with_sources(trace: str) -> str:
    """A trace with the lines of code that are known here and were not where it was made, as those of a notebook."""
    lines = trace.splitlines(keepends=True)
    found = []
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        found.append(line)
        at = _FRAME.fullmatch(line.rstrip("\n"))
        if at is not None and not following.startswith("    "):
            source = linecache.getline(at[1], int(at[2])).strip()
            found += [f"    {source}\n"] if source else []
    return "".join(found)


_FRAME = re.compile(r'  File "(.+)", line (\d+), in .+')


def _ours(filename: str) -> bool:
    return filename.startswith(_HERE) or filename.endswith(_ASYNCIO)


_PACKAGE = Path(__file__).parents[1]
_HERE = (f"{_PACKAGE / 'worker'}{os.sep}", f"{_PACKAGE / 'core'}{os.sep}")
_ASYNCIO = ("asyncio/runners.py", "asyncio/base_events.py")
