"""`RedisStore`: one Redis 7 or Valkey server. A commit is one Lua script, which the server runs alone and whole.

A script is not rolled back, so it looks at everything before it writes; `#!lua` has the server refuse it beforehand
where memory is short. A value is a hash of data and revision, a stream a Redis stream with the ids 1-0, 2-0, 3-0, …, a
lease a hash that expires; revisions and tokens come from one counter, for all labs of the server. Watchers block in
XREAD: pub/sub would lose messages. Leases run by the server's clock.

What an acknowledged commit survives is the server's choice: `appendonly yes` a killed process, `appendfsync always`
also a power cut. `open` asks, and `durability` tells. Nothing makes it survive a failover: Redis answers before its
replicas have written, so a replica that is promoted lacks what was acknowledged last, and counts revisions and tokens
back. Never put it behind Sentinel, a cluster, or a service that promotes replicas: a vote that was counted can be gone.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, ConnectionError, RedisError, TimeoutError

from ...ports import CommitRefused, Durability, Lease, Limits, Row, Value
from . import LARGEST
from .server import HINT, REQUEST, Address, Held, ServerStore, Unanswered

_log = logging.getLogger(__name__)

COMMIT = """#!lua
local at = 0
local function take() at = at + 1; return ARGV[at] end
local lab = take()
local function place(kind, name)
  if string.sub(name, 1, 7) == 'shared/' then return '*/' .. kind .. name end
  return lab .. kind .. name
end

local fence, token = take(), take()
if token ~= '' and redis.call('HGET', place('lease/', fence), 'token') ~= token then return {'fence', fence} end
for _ = 1, tonumber(take()) do
  local key, rev = take(), take()
  if (redis.call('HGET', place('key/', key), 'rev') or '0') ~= rev then return {'guard', key} end
end

local rev = redis.call('INCR', '*/rev')
for _ = 1, tonumber(take()) do redis.call('DEL', place('key/', take())) end
for _ = 1, tonumber(take()) do
  local key = place('key/', take())
  redis.call('HSET', key, 'rev', rev, 'data', take())
end
for _ = 1, tonumber(take()) do
  local stream = lab .. 'log/' .. take()
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local seq = last and tonumber(string.match(last[1], '^%d+')) or 0
  for n = 1, tonumber(take()) do redis.call('XADD', stream, string.format('%.0f-0', seq + n), 'data', take()) end
end
return rev
"""

# KEYS: the stream. ARGV: the last seq that may go; the last row of all stays, since the next one counts on from it.
TRIM = """#!lua
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return 0 end
local first = math.min(tonumber(ARGV[1]) + 1, tonumber(string.match(last[1], '^%d+')))
return redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%.0f-0', first))
"""

# KEYS: the lease. ARGV: the token that was seen or "", then for each its own.
TAKE = """#!lua
if (redis.call('HGET', KEYS[1], 'token') or '') ~= ARGV[1] then return false end
local token = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], 'token', token, 'owner', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return token
"""
RENEW = "#!lua\nreturn redis.call('HGET', KEYS[1], 'token') == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2])"
RELEASE = "#!lua\nreturn redis.call('HGET', KEYS[1], 'token') == ARGV[1] and redis.call('DEL', KEYS[1])"

ADVICE = (
    ("permissions", "let this user run scripts and all commands on keys of the lab"),
    ("read only replica", "it is a replica; name the primary"),
    ("maxmemory", "give it more memory (maxmemory); nothing acknowledged is lost"),
    ("MISCONF", "its disk is full or failing; free some space: nothing acknowledged is lost"),
)


class RedisStore(ServerStore):
    """A store in one Redis or Valkey: "redis://user:password@host:6379/0?lab=name"; "rediss://" for TLS."""

    limits = Limits(LARGEST)

    def __init__(self, url: str) -> None:
        address = Address.of(url, 6379)
        if len(address.hosts) > 1 or not (address.path or "0").isdecimal():
            hosts = ",".join(address.hosts)
            raise ValueError(f"{address.scheme}://{hosts} is no store: write {address.scheme}://host:6379/0")
        super().__init__(f"{address.scheme}://{address.hosts[0]}/{address.path or 0}", address.lab)
        self._url = url.partition("?")[0]
        self._client: Redis | None = None

    @property
    def _redis(self) -> Redis:
        if self._client is None:
            raise self._closed()
        return self._client

    async def _connect(self) -> None:
        if self._client is None:
            once = Retry(NoBackoff(), 0)  # what to send again is decided here
            self._client = Redis.from_url(self._url, retry=once, socket_timeout=REQUEST, socket_connect_timeout=REQUEST)
            self._scripts = [self._client.register_script(text) for text in (COMMIT, TAKE, RENEW, RELEASE, TRIM)]
        info: dict[str, Any] = await self._ask(self._redis.info())
        if int(str(info["redis_version"]).partition(".")[0]) < 7:
            raise self._unavailable(f"is Redis {info['redis_version']}", "use Redis 7 or later, or Valkey")
        if info.get("role") != "master" or info.get("cluster_enabled"):
            what = "a replica" if info.get("role") != "master" else "a part of a cluster"
            raise self._unavailable(f"is {what}", "name a single primary: only there is a commit whole")
        settings = await self._settings()
        if info.get("maxmemory") and info.get("maxmemory_policy", "noeviction") != "noeviction":
            raise self._unavailable("throws keys away when memory is short", "CONFIG SET maxmemory-policy noeviction")
        logged = bool(info.get("aof_enabled"))
        self.durability = Durability(logged, logged and settings.get("appendfsync") == "always", failover=False)
        if not self.durability.power:
            survives = "a killed server, not a power cut" if logged else "no end of the server"
            _log.warning(
                "what the store %s has acknowledged survives %s; start it with --appendonly yes --appendfsync always",
                self.where,
                survives,
            )

    async def _settings(self) -> dict[str, Any]:
        """What may be known of its settings: a service may keep them to itself."""
        try:
            return {str(name): value for name, value in (await self._redis.config_get("appendfsync")).items()}
        except (ConnectionError, TimeoutError) as error:
            raise Unanswered(str(error)) from error
        except RedisError:
            return {}

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (AuthenticationError, AuthorizationError) as error:
            advice = "give the right user and password: redis://user:password@host"
            raise self._unavailable(f"refuses to let us in: {error}", advice) from error
        except (ConnectionError, TimeoutError, OSError) as error:
            raise Unanswered(str(error) or type(error).__name__) from error
        except RedisError as error:
            advice = next((advice for start, advice in ADVICE if start in str(error)), "see the error above")
            raise self._unavailable(f"refuses: {error}", advice) from error

    async def _run(self, script: int, keys: Sequence[str], *args: bytes | str | int) -> Any:
        if self._client is None:
            raise self._closed()
        return await self._ask(self._scripts[script](keys=list(keys), args=list(args)))

    # values and rows

    async def _get(self, key: str) -> Value | None:
        data, rev = await self._ask(self._redis.hmget(self._place("key", key), ["data", "rev"]))
        return None if rev is None else Value(data, int(rev))

    async def _commit(
        self,
        guards: Mapping[str, int],
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        fence: Lease | None,
    ) -> int | CommitRefused:
        said: list[bytes | str | int] = [self._lab]
        said += [fence.name, fence.token] if fence is not None else ["", ""]
        said += [len(guards), *(part for guard in guards.items() for part in guard)]
        gone = [key for key, data in puts.items() if data is None]
        said += [len(gone), *gone]
        kept = [part for key, data in puts.items() if data is not None for part in (key, data)]
        said += [len(kept) // 2, *kept]
        said.append(len(append))
        for stream, rows in append.items():
            said += [stream, len(rows), *rows]
        answer = await self._run(0, [], *said)
        return CommitRefused(*(part.decode() for part in answer)) if isinstance(answer, list) else int(answer)

    async def _read(self, stream: str, after: int, limit: int) -> list[Row]:
        found = await self._ask(self._redis.xrange(f"{self._lab}log/{stream}", f"{after + 1}-0", "+", count=limit))
        return [Row(int(id_.partition(b"-")[0]), fields[b"data"]) for id_, fields in found]

    async def _trim(self, stream: str, upto: int) -> None:
        await self._run(4, [f"{self._lab}log/{stream}"], upto)

    async def _news(self, stream: str, after: int) -> None:
        wait = int(min(HINT, REQUEST / 2) * 1000)
        await self._ask(self._redis.xread({f"{self._lab}log/{stream}": f"{after}-0"}, count=1, block=wait))

    # leases

    def _lease(self, name: str) -> str:
        return self._place("lease", name)

    async def _held(self, name: str) -> Held | None:
        owner, token = await self._ask(self._redis.hmget(self._lease(name), ["owner", "token"]))
        return None if token is None else Held(owner.decode(), int(token))

    async def _take(self, name: str, owner: str, ttl: float, held: Held | None) -> int | None:
        seen = "" if held is None else held.token
        token = await self._run(1, [self._lease(name), "*/rev"], seen, owner, int(ttl * 1000))
        return None if token is None else int(token)

    async def _renew(self, lease: Lease) -> bool:
        return bool(await self._run(2, [self._lease(lease.name)], lease.token, int(lease.ttl * 1000)))

    async def _release(self, lease: Lease) -> None:
        await self._run(3, [self._lease(lease.name)], lease.token)
