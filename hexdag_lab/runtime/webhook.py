"""`Webhook`: tells people by a POST of JSON, signed, so that its receiver knows whose it is, and that it is no old one.

The signature is HMAC-SHA256 over "TIMESTAMP.BODY" in the header `Hexdag-Signature`, as "sha256=HEX"; the timestamp, in
whole unix seconds, is in `Hexdag-Timestamp`. Neither the secret nor the path of the address, which often is one, gets
into logs or texts.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from math import inf
from urllib.parse import urlsplit

from ..core.base.errors import HexdagError, SchemaError
from .notices import Notice
from .notifier import NotDelivered

SECONDS = 10.0
LATER = frozenset({408, 425, 429})  #: statuses below 500 after which the same request may do
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Webhook:
    """An address that takes a POST of JSON for each notice: `lab.notify(hx.Webhook(url, secret="HOOK_SECRET"))`.

    secret   the environment variable with the secret that notices are signed with
    seconds  for one request, from its beginning to its end

    Needs the extra `webhook`. Raises `HexdagError` without it, `SchemaError` for what cannot be, or an empty variable.
    """

    url: str = field(repr=False)
    secret: str
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        if find_spec("httpx") is None:
            raise HexdagError("a webhook needs the package httpx: pip install 'hexdag-lab[webhook]'")
        if not _VARIABLE.fullmatch(self.secret):
            raise SchemaError("secret is the name of an environment variable, not the secret: secret='HOOK_SECRET'")
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # of a port or an address that is none
            fits = False
        if not fits:
            raise SchemaError("url is the address that takes a webhook: 'https://host/path'")
        if isinstance(self.seconds, bool) or not 0 < self.seconds < inf:
            raise SchemaError(f"seconds is a number above 0, not {self.seconds!r}")
        self._key()

    @property
    def host(self) -> str:
        """Where it leads, without what may be a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

    def deliver(self, notice: Notice) -> None:
        """Post a notice. Raises `NotDelivered`."""
        import httpx

        body = json.dumps(notice.body).encode()
        try:
            with _unlogged():
                status = asyncio.run(self._status(body))
        except SchemaError as error:  # the variable was there when it was made
            raise NotDelivered(str(error), again=True) from None
        except TimeoutError:
            raise NotDelivered(f"{self.host} gave no answer within {self.seconds:g} s", again=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            again = not isinstance(error, httpx.InvalidURL)
            raise NotDelivered(f"{self.host} cannot be reached: {type(error).__name__}", again) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"{self.host} answered {status}", again=status >= 500 or status in LATER)

    async def _status(self, body: bytes) -> int:
        import httpx

        now = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "Hexdag-Timestamp": str(now),
            "Hexdag-Signature": f"sha256={signature(self._key(), now, body)}",
        }
        async with (
            asyncio.timeout(self.seconds),  # httpx has no limit for a whole request
            httpx.AsyncClient(timeout=self.seconds) as client,
            client.stream("POST", self.url, content=body, headers=headers) as response,
        ):
            return response.status_code  # what else it says is nobody's business

    def _key(self) -> bytes:
        value = os.environ.get(self.secret, "")
        if not value:
            raise SchemaError(f"the environment variable {self.secret} is empty: set it to the secret of {self.host}")
        return value.encode()


class _OtherThreads(logging.Filter):
    """Lets pass what is logged on other threads."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != threading.get_ident()


@contextmanager
def _unlogged() -> Iterator[None]:
    """httpx logs whole addresses, and the path of this one may be a secret: not what it does on this thread."""
    log, others = logging.getLogger("httpx"), _OtherThreads()
    log.addFilter(others)
    try:
        yield
    finally:
        log.removeFilter(others)


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """What a receiver compares: HMAC-SHA256 (hexadecimal) of the timestamp, a full stop and the body as it came."""
    return hmac.new(secret, f"{timestamp}.".encode() + body, sha256).hexdigest()
