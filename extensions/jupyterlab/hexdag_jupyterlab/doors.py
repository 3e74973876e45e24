"""A door to each lab: `hexdag-lab serve --json` in the lab's own environment, watched for as long as somebody looks.

The door reads and votes through the lab's store. So it answers while the lab's kernel is busy, and it has the lab's
versions of everything. It ends when this process does, since it waits for the end of its input.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from .labs import LiveLab, live_labs

START = 60.0  #: seconds that a door may take to open: it imports what the dashboard needs
IDLE = 120.0  #: seconds after which doors are closed that nobody looks through
FIND_EVERY = 1.0  #: seconds between two looks for labs
ASK = 30.0  #: seconds that a door may take to answer; a question for news takes it up to 20


class DoorError(Exception):
    """What a door refused or could not do: (status, error, fix)."""

    def __init__(self, status: int, error: str, fix: str = "") -> None:
        super().__init__(error)
        self.status, self.error, self.fix = status, error, fix


class Door:
    """One lab as one agent sees it."""

    def __init__(self, lab: LiveLab, agent: str) -> None:
        self.lab, self.agent = lab, agent
        self.state: dict[str, Any] = {"runs": [], "inbox": []}
        self.problem = ""
        self.address = ""
        self._tried = asyncio.Event()  # it is open, or could not be opened
        self._process: asyncio.subprocess.Process | None = None

    async def watch(self, news: asyncio.Event) -> None:
        """Open it, and keep `state` at what the lab says; `news` is set with each change. Ends when cancelled."""
        try:
            while True:
                try:
                    await self._open()
                    await self._follow(news)
                except (DoorError, OSError, ValueError, TimeoutError) as error:
                    self.problem = str(error) or type(error).__name__
                    self._tried.set()
                    news.set()
                await self._end()
                await asyncio.sleep(2)
        finally:
            await self._end()

    async def _open(self) -> None:
        command = [self.lab.python, "-m", "hexdag_lab", "--store", self.lab.store, "serve", "--json", "--port", "0"]
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *command, "--agent", self.agent, cwd=self.lab.directory, stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START)
        if not line:
            words = (await self._process.stderr.read()).decode("utf-8", "replace").strip().splitlines()
            raise DoorError(503, f"its door does not open: {words[-1] if words else 'it said nothing'}")
        self.address = json.loads(line)[self.agent]
        self._tried.set()
        self._drain = asyncio.create_task(self._process.stderr.read())

    async def _follow(self, news: asyncio.Event) -> None:
        tag = ""
        while True:
            state = await self.ask(f"/api/state?after={tag}")
            if state["tag"] != tag:
                tag, self.state, self.problem = state["tag"], state, ""
                news.set()

    async def opened(self) -> str:
        """Its address, once it is open. Raises `DoorError` if it cannot be opened."""
        await asyncio.wait_for(self._tried.wait(), 2 * START)
        if not self.address:
            raise DoorError(503, self.problem or "its door was closed", "try again in a moment")
        return self.address

    async def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        """What the door answers. Raises `DoorError`."""
        address = urlsplit(await self.opened())
        headers = {"Authorization": f"Bearer {address.query.removeprefix('token=')}"}
        request = HTTPRequest(
            f"{address.scheme}://{address.netloc}{path}", headers=headers, request_timeout=ASK,
            method="GET" if body is None else "POST", body=None if body is None else json.dumps(body),
        )  # fmt: skip
        try:
            response = await AsyncHTTPClient().fetch(request)
        except HTTPClientError as error:
            said = {}
            with suppress(ValueError, AttributeError):
                said = json.loads(error.response.body if error.response is not None else b"")
            raise DoorError(error.code, said.get("error", str(error)), said.get("fix", "")) from error
        found: dict[str, Any] = json.loads(response.body)
        return found

    async def _end(self) -> None:
        process, self._process, self.address = self._process, None, ""
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


class Doors:
    """The doors to all labs that somebody looks at, for each agent that looks."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._doors: dict[tuple[str, str], tuple[Door, asyncio.Task[None]]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._looked: dict[str, float] = {}
        self._finding: asyncio.Task[None] | None = None

    def seen_by(self, agent: str) -> dict[str, Any]:
        """All labs as an agent sees them; "" stands for each lab's owner."""
        labs = [
            {
                "id": door.lab.id, "name": door.lab.name, "where": door.lab.where, "agent": door.agent,
                "problem": door.problem, "runs": door.state["runs"], "inbox": door.state["inbox"],
            }
            for (_, viewer), (door, _) in sorted(self._doors.items(), key=lambda item: item[1][0].lab.name)
            if viewer == agent
        ]  # fmt: skip
        tag = hashlib.sha256(json.dumps(labs, sort_keys=True).encode()).hexdigest()[:16]
        return {"labs": labs, "tag": tag}

    async def news(self, agent: str, tag: str, patience: float) -> dict[str, Any]:
        """What an agent sees, once it is other than at `tag`, or after `patience` seconds."""
        give_up = time.monotonic() + patience
        event = self._news.setdefault(agent, asyncio.Event())
        while True:
            self._look(agent)
            event.clear()
            state = self.seen_by(agent)
            left = give_up - time.monotonic()
            if state["tag"] != tag or left <= 0:
                return state
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), left)

    async def door(self, lab: str, agent: str) -> Door:
        """The door of a lab by its id. Raises `DoorError`."""
        self._look(agent)
        if (lab, agent) not in self._doors:
            await self._find()
        found = self._doors.get((lab, agent))
        if found is None:
            raise DoorError(404, f"there is no lab {lab!r} here now", "look at the side bar for those that are")
        return found[0]

    def _look(self, agent: str) -> None:
        self._looked[agent] = time.monotonic()
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._keep_finding())

    async def _keep_finding(self) -> None:
        while self._looked:
            for agent, looked in list(self._looked.items()):
                if time.monotonic() - looked > IDLE:
                    del self._looked[agent]
            await self._find()
            await asyncio.sleep(FIND_EVERY)

    async def _find(self) -> None:
        """Open doors to labs that have come, close those to labs that are gone or that nobody looks at."""
        labs = await asyncio.to_thread(live_labs)
        wanted = {(lab.id, agent): lab for lab in labs for agent in self._looked}
        for key in self._doors.keys() - wanted.keys():
            await self._close(key)
        for key in wanted.keys() - self._doors.keys():
            self._open(key, wanted[key])

    def _open(self, key: tuple[str, str], lab: LiveLab) -> None:
        _, agent = key
        news = self._news.setdefault(agent, asyncio.Event())
        door = Door(lab, agent or lab.owner)
        self._doors[key] = (door, asyncio.create_task(door.watch(news)))
        self._log.info("hexdag_jupyterlab: opens a door to %s for %s", lab.where, door.agent)
        news.set()

    async def _close(self, key: tuple[str, str]) -> None:
        found = self._doors.pop(key, None)
        if found is None:
            return
        door, task = found
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self._news[key[1]].set()
        self._log.info("hexdag_jupyterlab: closes the door to %s", door.lab.where)

    async def close(self) -> None:
        """Close all of them."""
        self._looked.clear()
        if self._finding is not None:
            self._finding.cancel()
            with suppress(asyncio.CancelledError):
                await self._finding
        for key in list(self._doors):
            await self._close(key)
