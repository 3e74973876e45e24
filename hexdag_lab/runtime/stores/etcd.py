"""`EtcdStore`: an etcd cluster, through the JSON gateway that each member has. A commit is one transaction.

Guards and the fence are comparisons of a transaction, revisions those of etcd, and its else-branch reads what was
compared, so one request also says why it was refused. A log is segments and a head (`segments.py`); an append whose
head alone has moved is sent again. A lease is a key under an etcd lease, its token the revision of the transaction that
took it. A watch begins at the revision after the one that was read, so nothing falls between; if that has been
compacted, or the watch breaks, the watcher reads again, by seq, and misses nothing.

Every write is in the logs of a majority of the members, synced, before it is answered: it survives killed processes, a
power cut and, with three members or more, the loss of one, the leader too. Reads are linearizable.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ...core.base.errors import SchemaError
from ...ports import CommitRefused, Durability, Lease, Limits, Row, Value
from .members import Members
from .segments import folder, numbered, packed, unpacked
from .server import HINT, Address, Held, ServerStore, Unanswered

LARGEST = 1_400_000  # bytes: etcd takes 1.5 MiB a request unless it is told otherwise
DAMAGED = ("3.5.0", "3.5.1", "3.5.2")  # releases that could damage their data when killed under load
PAGE = 100  # segments that are read at once
UNSURE = frozenset({1, 2, 4, 10, 13, 14})  # gRPC codes after which it may have been done, or another member may do it
_log = logging.getLogger(__name__)

ADVICE = (
    ("database space exceeded", "compact and defragment it, then disarm the alarm: nothing acknowledged is lost"),
    ("permission denied", "let this user read and write the keys of the lab"),
    ("authentication", "give the right user and password: etcd://user:password@host:2379"),
    ("user name", "give user and password: etcd://user:password@host:2379"),
)


def _text(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def _rev(entry: Mapping[str, Any] | None) -> int:
    return 0 if entry is None else int(entry["mod_revision"])


def _data(entry: Mapping[str, Any]) -> bytes:
    return base64.b64decode(entry.get("value", ""))


class EtcdStore(ServerStore):
    """A store in one etcd cluster: "etcd://user:password@host:2379,host:2379,host:2379?lab=name"; "etcds" for TLS."""

    limits = Limits(LARGEST, LARGEST, 120)

    def __init__(self, url: str) -> None:
        address = Address.of(url, 2379)
        super().__init__(f"{address.scheme}://{','.join(address.hosts)}", address.lab)
        self._address = address
        self._members: Members | None = None
        self._token: dict[str, str] = {}
        self._heads: dict[str, tuple[int, int]] = {}  # of each stream: the last seq and its revision, as last seen

    async def _connect(self) -> None:
        self._members = self._members or Members(self._address.hosts, self._address.scheme == "etcds")
        version = self._json(await self._members.ask("GET", "/version")).get("etcdserver", "?")
        if version in DAMAGED:
            _log.warning("etcd %s (%s) can damage its data when it is killed; use a later one", version, self.where)
        if self._address.user:
            await self._log_in()
        members = (await self._post("/cluster/member/list", {})).get("members", ())
        await self._get(self._slot)  # may we?
        voting = sum(not member.get("isLearner") for member in members)
        self.durability = Durability(crash=True, power=True, failover=voting >= 3)

    async def _hang_up(self) -> None:
        members, self._members = self._members, None
        if members is not None:
            await members.close()

    async def _log_in(self) -> None:
        self._token = {}
        said = {"name": self._address.user, "password": self._address.password}
        self._token = {"Authorization": (await self._post("/auth/authenticate", said))["token"]}

    async def _post(self, path: str, body: Any) -> dict[str, Any]:
        if self._members is None:
            raise self._closed()
        response = await self._members.ask("POST", f"/v3{path}", body, self._token)
        answer = self._json(response)
        if response.status_code != 200:
            await self._refused(answer)
        result: dict[str, Any] = answer.get("result", answer)
        return result

    def _json(self, response: Any) -> dict[str, Any]:
        try:
            return dict(response.json())
        except (ValueError, TypeError):
            raise self._unavailable(f"answers {response.status_code} and no JSON", "is it etcd 3.4 or later?") from None

    async def _refused(self, answer: Mapping[str, Any]) -> NoReturn:
        code, message = int(answer.get("code", 2)), str(answer.get("message") or answer.get("error"))
        if "invalid auth token" in message:  # tokens last minutes
            await self._log_in()
            raise Unanswered(message)
        if "too large" in message or "larger than max" in message:
            raise SchemaError(f"the store {self.where} refuses: {message}; keep large values as blobs")
        advice = next((advice for part, advice in ADVICE if part in message), None)
        if advice is None and (code in UNSURE or "too many requests" in message):
            if self._members is not None:
                self._members.next()
            raise Unanswered(message)
        raise self._unavailable(f"refuses: {message}", advice or "see the error above")

    # the keys of a lab

    def _kv(self, key: str) -> str:
        return _text(self._place("key", key))

    def _head(self, stream: str) -> str:
        return _text(f"{self._lab}head/{stream}")

    def _lease(self, name: str) -> str:
        return _text(self._place("lease", name))

    def _segment(self, stream: str, last: int) -> str:
        return _text(f"{self._lab}{folder(stream)}{numbered(last)}")

    async def _entry(self, key: str) -> dict[str, Any] | None:
        found = (await self._post("/kv/range", {"key": key})).get("kvs")
        return found[0] if found else None

    # values and rows

    async def _get(self, key: str) -> Value | None:
        entry = await self._entry(self._kv(key))
        return None if entry is None else Value(_data(entry), _rev(entry))

    async def _commit(
        self,
        guards: Mapping[str, int],
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        fence: Lease | None,
    ) -> int | CommitRefused:
        expected = [] if fence is None else [(self._lease(fence.name), fence.token, CommitRefused("fence", fence.name))]
        expected += [(self._kv(key), rev, CommitRefused("guard", key)) for key, rev in guards.items()]
        writes = [
            {"request_delete_range": {"key": self._kv(key)}}
            if data is None
            else {"request_put": {"key": self._kv(key), "value": _text(data)}}
            for key, data in puts.items()
        ]
        while True:
            heads = {stream: self._heads.get(stream, (0, 0)) for stream in append}
            asked = [(key, rev) for key, rev, _ in expected] + [(self._head(s), rev) for s, (_, rev) in heads.items()]
            answer = await self._txn(asked, writes + self._rows(append, heads))
            if answer.get("succeeded"):
                rev = int(answer["header"]["revision"])
                self._heads |= {stream: (last + len(append[stream]), rev) for stream, (last, _) in heads.items()}
                return rev
            found = [(part["response_range"].get("kvs") or [None])[0] for part in answer["responses"]]
            for (_, rev, refused), entry in zip(expected, found, strict=False):
                if _rev(entry) != rev:
                    return refused
            for stream, entry in zip(append, found[len(expected) :], strict=True):  # somebody else has appended
                self._heads[stream] = (0, 0) if entry is None else (int(_data(entry)), _rev(entry))

    def _rows(self, append: Mapping[str, Sequence[bytes]], heads: Mapping[str, tuple[int, int]]) -> list[Any]:
        puts = []
        for stream, rows in append.items():
            last = heads[stream][0] + len(rows)
            puts.append({"request_put": {"key": self._segment(stream, last), "value": _text(packed(rows))}})
            puts.append({"request_put": {"key": self._head(stream), "value": _text(str(last))}})
        return puts

    async def _txn(self, expected: Sequence[tuple[str, int]], writes: Sequence[Any]) -> dict[str, Any]:
        """Do all writes if each key has its revision; else the response has all those keys as they are."""
        compare = [{"key": key, "target": "MOD", "mod_revision": str(rev)} for key, rev in expected]
        look = [{"request_range": {"key": key}} for key, _ in expected]
        return await self._post("/kv/txn", {"compare": compare, "success": list(writes), "failure": look})

    async def _read(self, stream: str, after: int, limit: int) -> list[Row]:
        rows: list[Row] = []
        while len(rows) < limit:
            begin, end = self._segment(stream, after + 1), _text(f"{self._lab}{folder(stream)}:")  # ":" is above "9"
            found = await self._post("/kv/range", {"key": begin, "range_end": end, "limit": str(min(limit, PAGE))})
            for entry in found.get("kvs", ()):
                last = int(base64.b64decode(entry["key"]).rpartition(b"/")[2])
                rows += [row for row in unpacked(last, _data(entry)) if row.seq > after]
            if not found.get("more"):
                break
            after = rows[-1].seq
        return rows[:limit]

    async def _trim(self, stream: str, upto: int) -> None:
        head = await self._entry(self._head(stream))
        upto = min(upto, 0 if head is None else int(_data(head)) - 1)
        begin, end = self._segment(stream, 0), self._segment(stream, max(upto, 0) + 1)
        await self._post("/kv/deleterange", {"key": begin, "range_end": end})

    async def _news(self, stream: str, after: int) -> None:
        found = await self._post("/kv/range", {"key": self._head(stream)})
        entries = found.get("kvs")
        if (entries and int(_data(entries[0])) > after) or self._members is None:
            return
        since = int(found["header"]["revision"]) + 1
        watch = {"create_request": {"key": self._head(stream), "start_revision": str(since)}}
        with suppress(TimeoutError):  # silence: the next read shows whether this member is still there
            async with asyncio.timeout(HINT), self._members.stream("/v3/watch", watch, self._token) as response:
                async for line in response.aiter_lines():
                    said = json.loads(line).get("result", {})
                    if not said.get("created") or said.get("canceled"):
                        return  # news; or it ends, as when `since` is compacted: read again

    # leases

    async def _held(self, name: str) -> Held | None:
        entry = await self._entry(self._lease(name))
        return None if entry is None else Held(_data(entry).decode(), _rev(entry), entry.get("lease", "0"))

    async def _take(self, name: str, owner: str, ttl: float, held: Held | None) -> int | None:
        granted = await self._post("/lease/grant", {"TTL": str(math.ceil(ttl))})
        key, seen = self._lease(name), 0 if held is None else held.token
        write = {"request_put": {"key": key, "value": _text(owner), "lease": granted["ID"]}}
        answer = await self._txn([(key, seen)], [write])
        return int(answer["header"]["revision"]) if answer.get("succeeded") else None

    async def _renew(self, lease: Lease) -> bool:
        held = await self._held(lease.name)
        if held is None or held.token != lease.token:
            return False
        return int((await self._post("/lease/keepalive", {"ID": held.handle})).get("TTL", 0)) > 0

    async def _release(self, lease: Lease) -> None:
        key = self._lease(lease.name)
        await self._txn([(key, lease.token)], [{"request_delete_range": {"key": key}}])
