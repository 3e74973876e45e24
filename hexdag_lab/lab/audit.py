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
from ..runtime.seal import Seal
from ..runtime.stores import store_of
from .places import home_of


def audit(store: Any, run: str, head: Path | str | None = None) -> Report:
    """Whether a run's journal is as it was written, and who approved what.

    head   a file that `save_head` has written, kept where whoever can write the store cannot

    Raises `Refused` if there is no such run, `SchemaError` if the file holds no head, `StoreUnavailable`.
    """
    saved = None if head is None else _head_of(Path(head))
    return asyncio.run(_audit(store, run, saved))


async def _audit(store: Any, run: str, saved: Proof | None) -> Report:
    opened = store_of(store)
    await opened.open()
    try:
        return await audited(opened, run, _lab_key(store), saved)
    finally:
        await opened.close()


def _lab_key(store: Any) -> str | None:
    """The public half of the lab's key, if its file is there and can be read."""
    home, temporary = home_of(store)
    if temporary is not None:
        temporary.cleanup()
    try:
        return public_half(Seal.of_file(home / "key").signer) if (home / "key").exists() else None
    except SchemaError:
        return None


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
