"""Pools: where attempts run. `pool_of` makes one from what a user writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...ports import Pool

_REGION = re.compile(r"[\w.-]+")


def pool_of(
    pool: Any, *, workers: int | None = None, threads: int = 1, standby: int = 0, blobs: str | None = None,
    region: str = "", grouping: bool = True,
) -> Pool:  # fmt: skip
    """The pool that "dask" (own cluster), "inline", a scheduler address, a Dask client, or a mapping of regions to
    such pools stands for. `region`: where this process is; `grouping`: whether short nodes may share a Dask task."""
    if isinstance(pool, Mapping):
        from .federation import Federation

        made = partial(pool_of, workers=workers, threads=threads, standby=standby, blobs=blobs, grouping=grouping)
        return Federation({name: made(one) for name, one in pool.items()}, region)
    if isinstance(pool, str):
        if pool == "inline":
            from .inline import InlinePool

            return InlinePool(workers or 4)
        from .cluster import OwnCluster
        from .dask import DaskPool

        if pool == "dask":
            return DaskPool(OwnCluster(workers, threads, standby=standby), blobs, grouping)
        if "://" in pool:
            return DaskPool(pool, blobs, grouping)
        raise ValueError(f'pool is "dask", "inline", a scheduler address ("tcp://…") or a Dask Client, not {pool!r}')
    if hasattr(pool, "submit") and hasattr(pool, "withdraw"):
        return pool  # type: ignore[no-any-return]
    from .dask import DaskPool

    return DaskPool(pool, blobs, grouping)


def checked_regions(regions: Any, region: str, pool: Any = "dask") -> None:
    """Raises `ValueError` for what are no regions, or not ours, or where there is another pool as well."""
    if not isinstance(regions, Mapping) or not regions:
        raise ValueError('regions= has at least one region and its pool: {"eu": "tcp://…", "us": "tcp://…"}')
    for name in regions:
        if not isinstance(name, str) or not _REGION.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a region; write letters, digits, dots and hyphens")
    if region and region not in regions:
        raise ValueError(f"region={region!r} is none of the regions: {', '.join(sorted(regions))}")
    if pool != "dask":
        raise ValueError("give a lab pool= or regions=, not both: with regions each has a pool of its own")


def pool_text(pool: Any) -> str:
    """What another process is told of a pool: "dask", "inline", an address, or "eu=ADDRESS,us=ADDRESS". Raises
    `TypeError` for what cannot be told."""
    if isinstance(pool, Mapping):
        return ",".join(f"{name}={pool_text(one)}" for name, one in sorted(pool.items()))
    address = getattr(getattr(pool, "scheduler", None), "address", pool)
    if not isinstance(address, str):
        raise TypeError(f'another process takes "dask", "inline", a scheduler address or a Client, not {pool!r}')
    return address


def pool_from_text(text: str) -> str | dict[str, str]:
    """What `pool_text` has said. Raises `ValueError` for what is half of a region."""
    if "=" not in text.partition("://")[0]:
        return text
    regions = dict[str, str]()
    for part in text.split(","):
        name, equals, pool = part.partition("=")
        if not equals or not pool or name in regions:
            raise ValueError(f"{part!r} is no region: write each once, as eu=tcp://HOST:8786,us=tcp://HOST:8786")
        regions[name] = pool
    return regions
