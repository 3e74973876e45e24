"""Making functions and values travel: code becomes a signed reference to a blob, values become `Kept`."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core.base.errors import SchemaError
from ..core.dag.changeset import Changeset, NodeChange
from ..core.dag.dag import Dag
from ..core.dag.node import NodeSpec
from ..core.runs.attempt import Task
from ..core.runs.value import Kept
from ..ports import Blobs
from ..worker import values
from ..worker.given import Given
from ..worker.ship import Loaded, load, pack, pack_value, unpack
from .seal import Seal

LARGE = values.INLINE
AT_HAND = 64 * 2**20  #: bytes of code that are kept in memory
FRESH = 3600.0  #: seconds after which shipped code is put again: nobody may have named it, and it may have been swept
FUNCTIONS = 2000  #: whose shipped code is known


class Shipping:
    """Ships for one lab: its blobs, its key. Any thread may use it."""

    def __init__(self, blobs: Blobs, seal: Seal) -> None:
        self.blobs, self._seal = blobs, seal
        self.key = seal
        self._known: OrderedDict[tuple[int, bytes], tuple[Any, str, float]] = OrderedDict()
        self._bytes: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    # -- code

    def spec(self, spec: NodeSpec) -> NodeSpec:
        """A spec that names its shipped code. Raises `SchemaError` if the function cannot be shipped."""
        if spec.fn is None:
            return spec if spec.blob else replace(spec, blob=self._put(pack(spec)))  # pack says what is missing
        key = (id(spec.fn), spec.code.digest)
        plain = spec.code.known and not (spec.in_model or spec.out_model)
        known = self._known.get(key) if plain else None
        if known is not None and known[0] is spec.fn and time.monotonic() - known[2] < FRESH:
            return replace(spec, blob=known[1])
        reference = self._put(pack(spec))
        if plain:
            with self._lock:
                self._known[key] = (
                    spec.fn,
                    reference,
                    time.monotonic(),
                )  # the function is kept, so that its id stays its own
                while len(self._known) > FUNCTIONS:
                    self._known.popitem(last=False)
        return replace(spec, blob=reference)

    def _put(self, data: bytes) -> str:
        return self._seal.code(self.accept(data))

    def accept(self, data: bytes) -> str:
        """Keep code that is ours, or that one of the lab's own workers sent: its SHA-256."""
        digest = self.blobs.put(data)
        self._remember(digest, data)
        return digest

    def _remember(self, digest: str, data: bytes) -> None:
        with self._lock:
            if digest not in self._bytes:
                self._bytes[digest] = data
                self._size += len(data)
            while self._size > AT_HAND and len(self._bytes) > 1:
                self._size -= len(self._bytes.popitem(last=False)[1])

    def dag(self, dag: Dag) -> Dag:
        """A graph whose specs name their shipped code."""
        return Dag.from_entries([(self.spec(e.spec), e.wires) for e in dag.entries.values()], dag.version)

    def changeset(self, changeset: Changeset) -> Changeset:
        """A changeset whose new specs name their shipped code."""
        nodes = {
            name: NodeChange(change.old, change.new and self.spec(change.new))
            for name, change in changeset.nodes.items()
        }
        return Changeset(changeset.base, nodes, changeset.edges, changeset.handling)

    def sign(self, changeset: Changeset) -> Changeset:
        """A changeset from one of the lab's own workers, with its code references signed."""
        nodes = {}
        for name, change in changeset.nodes.items():
            new = change.new
            if new is not None and new.blob and "." not in new.blob:
                new = replace(new, blob=self._seal.code(new.blob))
            nodes[name] = NodeChange(change.old, new)
        return Changeset(changeset.base, nodes, changeset.edges, changeset.handling)

    def code(self, reference: str) -> bytes:
        """The bytes of shipped code; `NotAllowed` if the reference is not signed with the lab's key."""
        digest = self._seal.code_digest(reference)
        data = self._bytes.get(digest)
        if data is None:
            data = self.blobs.get(digest)
            self._remember(digest, data)
        return data

    def at_hand(self, reference: str) -> bool:
        """Whether `code` need not go to the blob store."""
        return reference.partition(".")[0] in self._bytes

    def check(self, task: Task) -> None:
        """`NotAllowed` if an attempt would run code, or load a pickle, that nobody with the lab's key has made."""
        self._seal.code_digest(task.code)
        for wanted in task.inputs:
            if wanted.kept is not None and wanted.kept.where != "pool":
                what = f"the result of {wanted.up}" if wanted.up else f"the input {wanted.param!r}"
                self._seal.check_value(wanted.kept, what)
        if task.saved is not None:
            self._seal.check_value(task.saved, f"what {task.node} gave to checkpoint()")

    def function(self, fn: Callable[..., Any], what: str) -> str:
        """Ship a plain function, such as an agent's: a signed reference."""
        return self._put(pack_value(fn, what))

    def node_code(self, spec: NodeSpec) -> Loaded:
        """A node's own function and models, from what was shipped."""
        return load(self.code(spec.blob or ""), (spec.blob or "").partition(".")[0])

    def given(self, code: str, runs: str) -> str:
        """The code of a node that is given to an agent, with the agent's `run` in place of the node's own function."""
        loaded = load(self.code(code), code.partition(".")[0])
        own = Given(loaded.fn, self.load_function(runs))
        return self._put(pack_value((own, *loaded[1:]), "a node that is given to an agent"))

    def load_function(self, reference: str) -> Callable[..., Any]:
        """The function behind a reference."""
        found: Callable[..., Any] = unpack(self.code(reference), reference.partition(".")[0])
        return found

    # -- values

    def keep(self, value: Any) -> Kept:
        """A value, signed; a large one goes to the blob store."""
        kept = values.encode(value)
        if kept.size > LARGE:
            assert kept.inline is not None
            self.blobs.put(kept.inline)
            kept = kept._replace(inline=None, where="blob")
        return self._seal.value(kept)

    def seal(self, kept: Kept) -> Kept:
        """A value from one of the lab's own workers, signed."""
        return self._seal.value(kept)

    def has(self, kept: Kept, what: str = "this value") -> bool:
        """Whether a kept value can be read; `NotAllowed` as for `read`."""
        self._seal.check_value(kept, what)
        return kept.inline is not None or (kept.where == "blob" and self.blobs.has(kept.sha256))

    def read(self, kept: Kept, what: str = "this value") -> Any:
        """A kept value; `NotAllowed` if it is a pickle that was not signed with the lab's key."""
        self._seal.check_value(kept, what)
        data = kept.inline if kept.inline is not None else self.blobs.get(kept.sha256)
        try:
            return values.decode(kept, data)
        except SchemaError as error:
            raise SchemaError(f"{what}: {error}") from error
