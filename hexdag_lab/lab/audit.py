"""Auditing a run from its store alone: no lab is opened, and nobody needs to lead."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ..core.base.errors import SchemaError
from ..core.votes.signed import Proof
from ..runtime.audit import Report, audited
from ..runtime.chain import packed_head, unpacked_head
from ..runtime.keys import public_half
from .depot import depot_of


def audit(store: Any, run: str, head: Path | str | None = None, blobs: Any = None) -> Report:
    """Whether a run's journal is as it was written, and who approved what.

    head   a file that `save_head` has written, kept where whoever can write the store cannot
    blobs  where older rows are, as given to `Lab`; default: beside the store

    Raises `Refused` if there is no such run, `SchemaError` if the file holds no head, `StoreUnavailable`.
    """
    saved = None if head is None else _head_of(Path(head))
    return asyncio.run(_audit(store, run, saved, blobs))


async def _audit(store: Any, run: str, saved: Proof | None, blobs: Any) -> Report:
    async with depot_of(store, blobs) as depot:
        lab_key = None if depot.seal is None else public_half(depot.seal.signer)
        return await audited(depot.store, run, lab_key, saved, depot.blobs)


def save_head(report: Report, path: Path | str) -> None:
    """Write a report's head to a file. Raises `SchemaError` if the journal is not as it was written, or has no head."""
    if report.findings or report.head is None:
        raise SchemaError(
            f"the head of {report.run} is not saved: the journal is not as it was written, or has no chain"
        )
    Path(path).write_text(json.dumps(packed_head(report.head), indent=1) + "\n", "utf-8")


def _head_of(path: Path) -> Proof:
    try:
        return unpacked_head(json.loads(path.read_text("utf-8")))
    except (ValueError, RecursionError, OSError) as error:
        raise SchemaError(f"{path}: {error}; `hexdag-lab audit RUN --save FILE` writes such a file") from error
