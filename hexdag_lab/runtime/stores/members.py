"""`Members`: the servers of one cluster over HTTP, any of which may be asked.

One that does not answer is the last to be asked again, so a dead, frozen or cut off member costs one request's time,
and not the caller's patience.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from .server import REQUEST, Unanswered


class Members:
    """Asks one member at a time. All faults of the way there are `Unanswered`.

    Over TLS, a member's certificate is held against the authorities that this host trusts, or SSL_CERT_FILE names."""

    def __init__(self, hosts: Sequence[str], tls: bool, headers: Mapping[str, str] = {}) -> None:
        self._hosts, self._scheme = deque(hosts), "https" if tls else "http"
        trusted = ssl.create_default_context() if tls else False
        self._client = httpx.AsyncClient(timeout=REQUEST, headers=dict(headers), trust_env=False, verify=trusted)

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> httpx.Response:
        """One request to one member; its answer, whatever it says."""
        async with self._asking() as host, asyncio.timeout(REQUEST):  # httpx has no limit for a whole request
            return await self._client.request(
                method, f"{self._scheme}://{host}{path}", json=body, headers=dict(headers)
            )

    @asynccontextmanager
    async def stream(self, path: str, body: Any, headers: Mapping[str, str] = {}) -> AsyncIterator[httpx.Response]:
        """An answer that comes bit by bit."""
        async with (
            self._asking() as host,
            self._client.stream("POST", f"{self._scheme}://{host}{path}", json=body, headers=dict(headers)) as response,
        ):
            yield response

    def next(self) -> None:
        """This member knows no leader, say: ask another one from now on."""
        self._hosts.rotate(-1)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[str]:
        host = self._hosts[0]
        try:
            yield host
        except (httpx.HTTPError, httpx.StreamError, OSError, TimeoutError) as error:  # TimeoutError is an OSError, too
            if self._hosts[0] == host:
                self.next()
            raise Unanswered(f"{host}: {type(error).__name__} {error}".strip()) from error
