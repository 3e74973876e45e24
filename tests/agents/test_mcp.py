"""Agents from elsewhere, by the Model Context Protocol: a real client session looks, proposes, is refused by a check,
mends it, and another one votes."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.agents import mcp as door

ROOT = Path(__file__).parents[2]
GATE = [""]
MINE = """
import hexdag_lab as hx

@hx.node
def look(load, depth: int = 1) -> int:
    "Look at the data once more."
    return depth

@hx.node(requires={"telescope"})
def gaze(load) -> int:
    "Look from afar."
    return 1

catalog = hx.Catalog(look, gaze)
"""


@hx.node
def load() -> int:
    return 1


@hx.node
def hold(load: int) -> int:
    while not Path(GATE[0]).exists():
        time.sleep(0.02)
    return load


@hx.node
def look(load: int, depth: int = 1) -> int:
    """Look at the data once more."""
    return depth


@hx.node(requires={"telescope"})
def gaze(load: int) -> int:
    """Look from afar."""
    return 1


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[hx.Lab]:
    GATE[0] = str(tmp_path / "gate")
    store, catalog = f"sqlite:///{tmp_path}/lab.db", hx.Catalog(look, gaze)
    with hx.Lab(pool="inline", store=store, owner="dana", policy=hx.Majority(), catalog=catalog, threads=2) as lab:
        lab.add_agent(hx.Agent("scout", role="executor", catalogued=True))
        lab.add_agent(hx.Agent("judge", trust=1.0))
        yield lab
        Path(GATE[0]).touch()


@pytest.fixture
def run(lab: hx.Lab) -> hx.Run:
    return lab.start(hx.Dag.of(load, hold))


class Client:
    """A session of the protocol's own client."""

    def __init__(self, session: Any) -> None:
        self.session = session

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        found = await self.session.call_tool(tool, arguments)
        structured = getattr(found, "structured_content", None) or getattr(found, "structuredContent", None)
        if getattr(found, "is_error", None) or getattr(found, "isError", None):
            return {"error": found.content[0].text}
        return structured or json.loads(found.content[0].text)


@asynccontextmanager
async def over_http(url: str, token: str) -> AsyncIterator[Client]:
    from mcp import ClientSession

    async with door.connected(url, token) as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        yield Client(session)


@asynccontextmanager
async def over_stdio(folder: Path, *words: str, **variables: str) -> AsyncIterator[Client]:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    path = os.pathsep.join(sys.path)
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "hexdag_lab", *words], cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **variables},
    )  # fmt: skip
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield Client(session)


def of(lab: hx.Lab, *agents: str) -> Callable[[Any], Any]:
    """Runs `work(client, client, ...)` with a session for each agent."""

    def run(work: Any) -> Any:
        async def inside() -> Any:
            from contextlib import AsyncExitStack

            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(over_http(served.url, served.tokens[a])) for a in agents]
                return await work(*clients)

        with door.served(lab, *agents) as served:
            return asyncio.run(inside())

    return run


def step(operation: str, **more: Any) -> dict[str, Any]:
    return {"do": f"add {operation}", "name": "new1", "after": ["load"], **more}


def test_one_looks_proposes_is_refused_by_a_check_and_mends_it_and_another_one_votes(lab: hx.Lab, run: hx.Run) -> None:
    async def work(scout: Client, judge: Client) -> None:
        seen = await scout.call("get_dag")
        assert (seen["run"], seen["version"]) == (run.id, 1)
        assert "hold" in seen["text"]

        refused = await scout.call("propose", reason="from afar", steps=[step("gaze")])
        assert refused["accepted"] is False
        assert "telescope" in refused["problems"][0]

        made = await scout.call("propose", reason="once more", steps=[step("look", params={"depth": 3})])
        assert (made["accepted"], made["state"]) == (True, "OPEN")

        (waiting,) = (await judge.call("inbox"))["proposals"]
        assert waiting["proposal"] == made["proposal"]
        assert "+ look_1: look(depth=3) <- load" in waiting["text"]
        assert '<untrusted from="scout">once more</untrusted>' in waiting["text"]
        ballot = {"proposal": waiting["proposal"], "reason": "cheap", "seen": waiting["seen"]}
        assert (await judge.call("vote", choice="approve", **ballot))["state"] == "APPLIED"

        changed = await scout.call("diff", old=1, new=2)
        assert (changed["added"], changed["edges_added"]) == (["look_1"], [["load", "look_1"]])

    of(lab, "scout", "judge")(work)
    Path(GATE[0]).touch()
    assert run.wait(30)["look_1"] == 3
    (ballot,) = run.proposals[f"{run.id}/p2"].tally.ballots
    assert (ballot.voter, ballot.via, ballot.reason) == ("judge", "mcp", "cheap")


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([{"do": "add lok", "name": "new1"}], "lok"),
        ([step("look", params={"depth": "deep"})], "depth: Input should be a valid integer"),
        ([step("look", source="import os")], "source: Extra inputs are not permitted"),
        ([step("look", after=["nowhere"])], "Input should be"),
        ([{"do": "remove_node", "name": "load"}], "load"),  # it is done, so it stays
        ([], "changes nothing"),
    ],
)
def test_what_does_not_fit_is_told_in_sentences_and_nothing_is_proposed(
    lab: hx.Lab, run: hx.Run, steps: list[Any], sentence: str
) -> None:
    while run.nodes["load"].state != "SUCCEEDED":
        time.sleep(0.01)

    async def work(scout: Client) -> dict[str, Any]:
        return await scout.call("propose", reason="why not", steps=steps)

    answer = of(lab, "scout")(work)
    assert answer["accepted"] is False
    assert sentence in " ".join(answer["problems"])
    assert not [p for p in run.proposals.values() if p.state == "OPEN"]


def test_roles_hold_for_them_as_for_all_others(lab: hx.Lab, run: hx.Run) -> None:
    lab.add_agent(hx.Agent("watcher", role="observer"))
    p = run.propose(hx.Changeset.on(run.dag).add_node(look), by="scout")

    async def work(watcher: Client) -> list[dict[str, Any]]:
        ballot = {"proposal": p.id, "choice": "approve", "reason": "", "seen": p.effect_digest}
        return [await watcher.call("vote", **ballot), await watcher.call("propose", reason="", steps=[step("look")])]

    for answer in of(lab, "watcher")(work):
        assert answer["accepted"] is False
        assert "watcher" in answer["problems"][0]


def test_a_ballot_on_what_was_revised_since_does_not_count(lab: hx.Lab, run: hx.Run) -> None:
    p = run.propose(hx.Changeset.on(run.dag).add_node(look), by="scout")

    async def work(judge: Client) -> dict[str, Any]:
        return await judge.call("vote", proposal=p.id, choice="approve", reason="", seen="00" * 32)

    answer = of(lab, "judge")(work)
    assert answer["accepted"] is False
    assert p.state == "OPEN"


def test_it_says_why_a_node_does_not_move_and_what_may_be_built(lab: hx.Lab, run: hx.Run) -> None:
    async def work(scout: Client) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        read = await scout.session.read_resource("hexdag://catalogue")
        asked = await scout.call("why", node="hold")
        return asked, json.loads(read.contents[0].text), await scout.call("why", node="nobody")

    asked, catalogue, unknown = of(lab, "scout")(work)
    assert asked["node"] == "hold"
    assert any("hold" in line for line in asked["story"])
    assert [(o["name"], o["doc"], o["needs"]) for o in catalogue["operations"]] == [
        ("gaze", "Look from afar.", ["telescope"]), ("look", "Look at the data once more.", []),
    ]  # fmt: skip
    assert "add look" in json.dumps(catalogue["change"])
    assert "no node 'nobody'" in unknown["error"]


def test_without_a_token_of_this_server_nobody_comes_in(lab: hx.Lab) -> None:
    import httpx

    with door.served(lab, "scout") as served:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer"}):
            answer = httpx.post(served.url, headers=headers, json={})
            assert answer.status_code == 401
            assert "www-authenticate" in answer.headers


def test_a_session_of_one_agent_is_not_another_agents(lab: hx.Lab) -> None:
    import httpx

    opening = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    accept = {"Accept": "application/json, text/event-stream"}
    with door.served(lab, "scout", "judge") as served:
        bearer = {agent: {**accept, "Authorization": f"Bearer {token}"} for agent, token in served.tokens.items()}
        opened = httpx.post(served.url, headers=bearer["scout"], json=opening)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert httpx.post(served.url, headers=bearer["judge"] | session, json=listing).status_code == 404


@pytest.mark.slow
def test_a_client_that_starts_a_process_reaches_the_lab_through_its_store(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    store, catalog = f"sqlite:///{tmp_path}/lab.db", runpy.run_path(str(tmp_path / "mine.py"))["catalog"]
    GATE[0] = str(tmp_path / "gate")

    async def work(run: str) -> dict[str, Any]:
        words = ("--store", store, "mcp", "--agent", "scout", "--catalog", "mine.py")
        async with over_stdio(tmp_path, *words) as scout:
            assert (await scout.call("runs"))["runs"][0]["id"] == run
            return await scout.call("propose", reason="once more", steps=[step("look")])

    with hx.Lab(pool="inline", store=store, catalog=catalog, threads=2) as lab:
        lab.add_agent(hx.Agent("scout", role="executor", catalogued=True))
        made = asyncio.run(work(lab.start(hx.Dag.of(load, hold)).id))
        Path(GATE[0]).touch()
    assert (made["accepted"], made["state"]) == (True, "OPEN"), made


@pytest.mark.slow
def test_a_client_that_starts_a_process_reaches_a_lab_in_memory_through_its_address(
    run: hx.Run, lab: hx.Lab, tmp_path: Path
) -> None:
    async def work(url: str, token: str) -> dict[str, Any]:
        async with over_stdio(tmp_path, "mcp", "--url", url, HEXDAG_TOKEN=token) as scout:
            return await scout.call("propose", reason="once more", steps=[step("look")])

    with door.served(lab, "scout") as served:
        made = asyncio.run(work(served.url, served.tokens["scout"]))
    assert (made["accepted"], made["state"]) == (True, "OPEN")
