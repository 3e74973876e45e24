"""A run's state as bytes, so that attaching a long run need not fold its whole journal.

It is a pickle: five times as fast as JSON. So it is read only with the lab's mark on it (`Seal`), and only by the very
code of the core that wrote it: another version of a record would read as something else. Whoever cannot read it folds
the journal, which alone is the truth. Functions stay out, as in the journal, and of a version only what it changed
goes in: the proposal that it came from has that already.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from .. import core
from ..core.base.errors import SchemaError
from ..core.dag.node import NodeSpec
from ..core.dag.spec_data import spec_from_data, spec_to_data
from ..core.machine.state import RunState


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, NodeSpec):
            return spec_from_data, (spec_to_data(value),)
        return NotImplemented


def packed(state: RunState) -> bytes:
    """A started run's state, without the functions of its nodes."""
    first, *later = state.versions
    out = io.BytesIO()
    nothing: Any = None  # where `unpacked` puts a graph again
    lean = state._replace(versions=(first, *(version._replace(dag=nothing) for version in later)), dag=nothing)
    _Pickler(out, 5).dump((lean, [version.digest for version in state.versions]))
    return zlib.compress(out.getvalue(), 1)


def unpacked(data: bytes) -> RunState:
    """What `packed` was given. Raises `SchemaError` if it does not come out as it went in. Runs code: look first whose
    it is."""
    state, digests = pickle.loads(zlib.decompress(data))
    versions = [state.versions[0]]
    for version in state.versions[1:]:
        dag = versions[-1].dag.apply(state.proposals[version.proposal].changeset).numbered(version.number)
        versions.append(version._replace(dag=dag))
    if [version.digest for version in versions] != digests:
        raise SchemaError("the versions of this snapshot are not those of the run")
    made: RunState = state._replace(versions=tuple(versions), dag=versions[-1].dag)
    return made


@cache
def code() -> str:
    """What the core's records and rules come to: SHA-256 of its source, hexadecimal; "" where there is no source."""
    files = sorted(Path(core.__path__[0]).rglob("*.py"))
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes() + b"\0")
    return whole.hexdigest() if files else ""
