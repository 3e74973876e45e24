"""Pools: where attempts run. `pool_of` makes one from what a user writes."""

from __future__ import annotations

from typing import Any

from ...ports import Pool


def pool_of(
    pool: Any, *, workers: int | None = None, threads: int = 1, standby: int = 0, blobs: str | None = None
) -> Pool:
    """The pool that "dask" (own cluster), "inline", a scheduler address or a Dask client stands for."""
    if isinstance(pool, str):
        if pool == "inline":
            from .inline import InlinePool

            return InlinePool(workers or 4)
        from .cluster import OwnCluster
        from .dask import DaskPool

        if pool == "dask":
            return DaskPool(OwnCluster(workers, threads, standby=standby), blobs)
        if "://" in pool:
            return DaskPool(pool, blobs)
        raise ValueError(f'pool is "dask", "inline", a scheduler address ("tcp://…") or a Dask Client, not {pool!r}')
    if hasattr(pool, "submit") and hasattr(pool, "withdraw"):
        return pool  # type: ignore[no-any-return]
    from .dask import DaskPool

    return DaskPool(pool, blobs)
