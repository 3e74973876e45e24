"""Pools as text, for the processes that are told of them on their command line."""

from __future__ import annotations

from typing import Any

import pytest

from hexdag_lab.runtime.pools import pool_from_text, pool_text


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        ("dask", "dask"),
        ("tcp://host:8786", "tcp://host:8786"),
        ({"us": "tcp://b:1", "eu": "inline"}, "eu=inline,us=tcp://b:1"),
        ({"eu": "tcp://a:1"}, "eu=tcp://a:1"),
    ],
)
def test_a_pool_comes_back_from_its_text(pool: Any, text: str) -> None:
    assert pool_text(pool) == text
    assert pool_from_text(text) == pool


@pytest.mark.parametrize("text", ["eu=", "eu=inline,us", "eu=inline,eu=dask"])
def test_half_a_region_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write each once, as eu=tcp://HOST:8786,us=tcp://HOST:8786"):
        pool_from_text(text)


def test_a_pool_that_only_this_process_has_cannot_be_told() -> None:
    with pytest.raises(TypeError, match="another process takes"):
        pool_text({"eu": object()})
