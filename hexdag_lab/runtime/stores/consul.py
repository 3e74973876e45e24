"""`ConsulStore`: Consul's key-value store. A commit is one request to `/v1/txn`.

Guards are its `cas`, `check-index` and `check-not-exists`, the fence is `check-session`; the first operation that does
not hold says why a commit was refused. Revisions are ModifyIndex. An entry that is put again unchanged would keep its
own, so each put has random Flags. A log is segments and a head (`segments.py`); segments lie in folders of 128 rows,
because Consul reads a folder, and no range. A lease is a key locked by a session, its token the key's LockIndex, which
grows with each lock. Sessions have lock-delay 0: the delay guards what is not fenced, and all our commits are. A watch
is a blocking query on the head.

Limits: 64 operations and 512 KiB a transaction, in which base64 takes a quarter. A session lives at least 10 s, and
Consul ends it up to twice as late as asked, so a dead leader is followed later than elsewhere. Every write is in the
logs of a majority of the servers before it is answered, and reads are consistent.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from ...core.base.errors import SchemaError
from ...ports import CommitRefused, Durability, Lease, Limits, Row, Value
from .members import Members
from .segments import folder, numbered, packed, unpacked
from .server import HINT, Address, Held, ServerStore, Unanswered

LARGEST = 370_000  # bytes
FOLDER = 128  # rows
OPS = 60  # of a transaction: Consul takes 64
SHORTEST = 10  # seconds: the least time to live that Consul gives a session, unless it is told otherwise
HEAD = CommitRefused("head", "")


class Op(NamedTuple):
    """One operation of a transaction, and the refusal that it means if it does not hold."""

    kv: dict[str, Any]
    otherwise: CommitRefused | None = None


def _op(verb: str, key: str, otherwise: CommitRefused | None = None, **more: Any) -> Op:
    return Op({"Verb": verb, "Key": key, **more}, otherwise)


def _put(verb: str, key: str, data: bytes, otherwise: CommitRefused | None = None, **more: Any) -> Op:
    flags = secrets.randbits(48)
    return _op(verb, key, otherwise, Value=base64.b64encode(data).decode(), Flags=flags, **more)


def _data(entry: Mapping[str, Any]) -> bytes:
    return base64.b64decode(entry["Value"] or "")


class ConsulStore(ServerStore):
    """A store in one Consul datacenter: "consul://:token@host:8500,host:8500?lab=name"; "consuls" for TLS."""

    limits = Limits(LARGEST, LARGEST, OPS)

    def __init__(self, url: str) -> None:
        address = Address.of(url, 8500)
        super().__init__(f"{address.scheme}://{','.join(address.hosts)}", address.lab)
        self._hosts, self._tls = address.hosts, address.scheme == "consuls"
        self._token = {"X-Consul-Token": address.password} if address.password else {}
        self._members: Members | None = None
        self._heads: dict[str, tuple[int, int]] = {}  # of each stream: the last seq and its index, as last seen
        self._sessions: dict[tuple[str, int], str] = {}  # of the leases that were taken here

    async def _connect(self) -> None:
        self._members = self._members or Members(self._hosts, self._tls, self._token)
        servers = (await self._ask("GET", "/v1/status/peers")).json()
        await self._get(self._slot)  # may we?
        self.durability = Durability(crash=True, power=True, failover=len(servers) >= 3)

    async def _hang_up(self) -> None:
        members, self._members = self._members, None
        if members is not None:
            await members.close()

    async def _ask(self, method: str, path: str, body: Any = None, fine: Sequence[int] = (200,)) -> Any:
        if self._members is None:
            raise self._closed()
        response = await self._members.ask(method, path, body)
        if response.status_code in fine:
            return response
        said = response.text.strip()[:300]
        if response.status_code == 413 or "too large" in said or "too many operations" in said:
            raise SchemaError(f"the store {self.where} refuses: {said}; keep large values as blobs")
        if response.status_code in (401, 403) or "ACL not found" in said or "Permission denied" in said:
            advice = "give a token that may read and write keys and sessions: consul://:token@host:8500"
            raise self._unavailable(f"refuses to let us in: {said}", advice)
        if response.status_code >= 500 or response.status_code == 429:
            self._members.next()
            raise Unanswered(f"{response.status_code} {said}")
        raise self._unavailable(f"answers {response.status_code} {said}", "is it Consul?")

    async def _txn(self, ops: Sequence[Op]) -> list[dict[str, Any]] | CommitRefused:
        """The entries that the operations gave, or what the first one that does not hold means."""
        response = await self._ask("PUT", "/v1/txn?consistent", [{"KV": op.kv} for op in ops], fine=(200, 409))
        answer = response.json()
        if response.status_code == 200:
            entries: list[dict[str, Any]] = [result["KV"] for result in answer["Results"] or ()]
            return entries
        first, what = min((int(error["OpIndex"]), error["What"]) for error in answer["Errors"])
        refused = ops[first].otherwise
        if refused is None:
            raise self._unavailable(f"refuses: {what}", "see the error above")
        return refused

    async def _entry(self, key: str) -> dict[str, Any] | None:
        found = await self._txn([_op("get", key, HEAD)])
        return None if isinstance(found, CommitRefused) else found[0]

    # values and rows

    async def _get(self, key: str) -> Value | None:
        entry = await self._entry(self._place("key", key))
        return None if entry is None else Value(_data(entry), entry["ModifyIndex"])

    async def _commit(
        self,
        guards: Mapping[str, int],
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        fence: Lease | None,
    ) -> int | CommitRefused:
        ops = []
        if fence is not None:
            gone = CommitRefused("fence", fence.name)
            session = await self._session(fence)
            if not session:
                return gone
            ops.append(_op("check-session", self._lease(fence.name), gone, Session=session))
        ops += self._guarded(guards, puts)
        ops += [self._written(key, data) for key, data in puts.items() if key not in guards]
        while True:
            heads = {stream: self._heads.get(stream, (0, 0)) for stream in append}
            done = await self._txn([*ops, *self._rows(append, heads)])
            if not isinstance(done, CommitRefused):
                rev: int = max(entry["ModifyIndex"] for entry in done)
                self._heads |= {stream: (last + len(append[stream]), rev) for stream, (last, _) in heads.items()}
                return rev
            if done.kind != HEAD.kind:
                return done
            head = await self._entry(self._head(done.key))  # somebody else has appended
            self._heads[done.key] = (0, 0) if head is None else (int(_data(head)), head["ModifyIndex"])

    def _guarded(self, guards: Mapping[str, int], puts: Mapping[str, bytes | None]) -> list[Op]:
        """The guards, each in one operation with the put to its key where there is one."""
        ops = []
        for name, rev in guards.items():
            key, refused, data = self._place("key", name), CommitRefused("guard", name), puts.get(name)
            if data is not None:
                ops.append(_put("cas", key, data, refused, Index=rev))
                continue
            ops.append(_op("check-index", key, refused, Index=rev) if rev else _op("check-not-exists", key, refused))
            if name in puts:
                ops.append(_op("delete", key))
        return ops

    def _written(self, name: str, data: bytes | None) -> Op:
        key = self._place("key", name)
        return _op("delete", key) if data is None else _put("set", key, data)

    def _head(self, stream: str) -> str:
        return f"{self._lab}head/{quote(stream, safe='')}"

    def _folder(self, stream: str, seq: int) -> str:
        return f"{self._lab}{folder(stream)}{numbered(seq // FOLDER)}/"

    def _rows(self, append: Mapping[str, Sequence[bytes]], heads: Mapping[str, tuple[int, int]]) -> list[Op]:
        ops = []
        for stream, rows in append.items():
            seq, index = heads[stream]
            last = seq + len(rows)
            moved = CommitRefused(HEAD.kind, stream)
            ops.append(_put("cas", self._head(stream), str(last).encode(), moved, Index=index))
            ops.append(_put("set", self._folder(stream, last) + numbered(last), packed(rows)))
        return ops

    async def _read(self, stream: str, after: int, limit: int) -> list[Row]:
        head = await self._entry(self._head(stream))
        last = 0 if head is None else int(_data(head))
        rows: list[Row] = []
        for number in range((after + 1) // FOLDER, last // FOLDER + 1):
            found = await self._txn([_op("get-tree", self._folder(stream, number * FOLDER), HEAD)])
            for entry in found if not isinstance(found, CommitRefused) else ():
                end = int(entry["Key"].rpartition("/")[2])
                if end > after:
                    rows += [row for row in unpacked(end, _data(entry)) if row.seq > after]
            if len(rows) >= limit:
                break
        return rows[:limit]

    async def _trim(self, stream: str, upto: int) -> None:
        """Folder by folder: those that end at or before `upto`, and before the last row."""
        head = await self._entry(self._head(stream))
        upto = min(upto, 0 if head is None else int(_data(head)) - 1)
        root = f"{self._lab}{folder(stream)}"
        found = await self._ask("GET", f"/v1/kv/{quote(root)}?consistent&keys&separator=/", fine=(200, 404))
        names = found.json() if found.status_code == 200 else []
        old = [_op("delete-tree", name) for name in names if name < root + numbered((upto + 1) // FOLDER)]
        for begin in range(0, len(old), OPS):
            await self._txn(old[begin : begin + OPS])

    async def _news(self, stream: str, after: int) -> None:
        path = f"/v1/kv/{quote(self._head(stream))}"
        found = await self._ask("GET", f"{path}?consistent", fine=(200, 404))
        if found.status_code == 200 and int(_data(found.json()[0])) > after:
            return
        index = found.headers["X-Consul-Index"]
        await self._ask("GET", f"{path}?consistent&index={index}&wait={int(HINT * 900)}ms", fine=(200, 404))

    # leases

    def _lease(self, name: str) -> str:
        return self._place("lease", name)

    async def _held(self, name: str) -> Held | None:
        entry = await self._entry(self._lease(name))
        if entry is None or not entry.get("Session"):
            return None
        return Held(_data(entry).decode(), entry["LockIndex"], entry["Session"])

    async def _session(self, lease: Lease) -> str:
        """The session that holds a lease; "" if it is not held any more."""
        known = self._sessions.get((lease.name, lease.token))
        if known is not None:
            return known
        held = await self._held(lease.name)
        return held.handle if held is not None and held.token == lease.token else ""

    async def _take(self, name: str, owner: str, ttl: float, held: Held | None) -> int | None:
        session, key = await self._new_session(owner, ttl), self._lease(name)
        lock = _put("lock", key, owner.encode(), HEAD, Session=session)
        before = [] if held is None else [_put("unlock", key, b"", HEAD, Session=held.handle)]
        done = await self._txn([*before, lock])
        if isinstance(done, CommitRefused):
            return None
        token: int = done[-1]["LockIndex"]
        self._sessions = {lease: own for lease, own in self._sessions.items() if lease[0] != name}
        self._sessions[name, token] = session
        return token

    async def _new_session(self, owner: str, ttl: float) -> str:
        said: dict[str, Any] = {"Name": owner, "TTL": f"{ttl:g}s", "Behavior": "release", "LockDelay": "0s"}
        said |= {"Checks": [], "NodeChecks": []}  # its ttl alone ends it
        response = await self._ask("PUT", "/v1/session/create", said, fine=(200, 400, 500))
        if response.status_code != 200 and "TTL" in response.text:
            said["TTL"] = f"{SHORTEST}s"
            response = await self._ask("PUT", "/v1/session/create", said)
        elif response.status_code != 200:
            raise Unanswered(response.text)
        return str(response.json()["ID"])

    async def _renew(self, lease: Lease) -> bool:
        held = await self._held(lease.name)
        if held is None or held.token != lease.token:
            return False
        return bool((await self._ask("PUT", f"/v1/session/renew/{held.handle}", fine=(200, 404))).status_code == 200)

    async def _release(self, lease: Lease) -> None:
        session = await self._session(lease)
        if session:
            self._sessions.pop((lease.name, lease.token), None)
            await self._ask("PUT", f"/v1/session/destroy/{session}")
