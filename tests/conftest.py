"""What all tests share: servers, each started once when a test first asks for it; and in CI the property tests draw the
same examples each time; at home they explore."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings

from tests import servers

settings.register_profile("home", deadline=None)  # a law says nothing of how long it takes on a busy machine
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The URL of a store on a real server: "redis", "valkey", "etcd" or "consul". Nobody kills these."""
    urls: dict[str, str] = {}
    with ExitStack() as stack:

        def url(kind: str) -> str:
            if kind not in urls:
                server = servers.started(kind, tmp_path_factory.mktemp(kind))
                stack.callback(server.kill)
                urls[kind] = server.url
            return urls[kind]

        yield url
