"""A lab with several regions, as its users see it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.runs.region import Region
from hexdag_lab.lab import registry
from hexdag_lab.runtime import regions
from hexdag_lab.runtime.pools import branch
from hexdag_lab.runtime.pools.inline import InlinePool
from tests.lab.conftest import Severed
from tests.runtime.kit import open_gate, pass_gate, until


class Faraway(InlinePool):
    """Threads of this process as if they were elsewhere: `there` says whether anything is heard of them."""

    def __init__(self) -> None:
        super().__init__(1)
        self.there, self._said = True, list[Any]()

    @property
    def answered(self) -> float:
        return time.monotonic() if self.there else 0.0

    async def open(self, put: Any) -> None:
        def heard(run: str, message: Any) -> None:
            self._said.append((run, message))
            while self.there and self._said:
                put(*self._said.pop(0))

        self._heard = heard
        await super().open(heard)

    def back(self) -> None:
        """What was said meanwhile arrives."""
        self.there = True
        run, message = self._said.pop()
        self._heard(run, message)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Faraway:
    monkeypatch.setattr(branch, "SILENCE", 0.3)
    return Faraway()


@pytest.fixture
def lab(far: Faraway) -> Iterator[hx.Lab]:
    with hx.Lab(regions={"eu": "inline", "us": far}, region="eu", store="memory://", workers=2) as lab:
        yield lab


@hx.node(requires={"region:eu"})
def rows() -> list[int]:
    return [1, 2, 3]


@hx.node(requires={"region:us"})
def total(rows: list[int]) -> int:
    return sum(rows)


@hx.node
def report(total: int) -> str:
    return f"total {total}"


def test_nodes_run_in_the_regions_that_they_ask_for_and_results_cross(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(rows, total, report))
    assert run.wait(30)["report"] == "total 6"
    assert (run.nodes["rows"].worker, run.nodes["total"].worker) == ("eu/inline", "us/inline")


def test_a_node_that_asks_for_a_region_that_there_is_not_says_which_there_are(lab: hx.Lab) -> None:
    mars = hx.NodeSpec("mars", lambda: 1, requires={"region:mars"})
    both = hx.NodeSpec("both", lambda: 1, requires={"region:eu", "region:us"})
    run = lab.start(hx.Dag.of(mars, both))
    assert run.why("mars") == 'there is no region "mars"; the regions are eu, us'
    assert run.why("both") == "asks for regions eu and us, and no worker is in two"
    run.cancel()


def test_what_runs_in_a_region_that_is_cut_off_goes_on_and_what_asks_for_it_waits_and_says_since_when(
    lab: hx.Lab, far: Faraway, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"

    @hx.node(requires={"region:us"})
    def long(gate: str) -> str:
        pass_gate(gate)
        return "done meanwhile"

    @hx.node(requires={"region:us"})
    def later(long: str) -> str:
        return long + ", and later"

    @hx.node(requires={"region:eu"})
    def beside() -> int:
        return 1

    run = lab.start(hx.Dag.of(long, later, beside), inputs={"gate": str(gate)})
    until(lambda: run.nodes["long"].state == "RUNNING")
    far.there = False
    until(lambda: run.why("long"))
    assert str(run.why("long")).startswith("region us is cut off since ")
    assert str(run.why("long")).endswith("; what runs there goes on")
    assert run.nodes["beside"].state == "SUCCEEDED", "nobody else waits for it"
    change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("new", lambda: 2, requires={"region:us"}))
    assert run.propose(change).wait(10) == "APPLIED", "a region that is away is expected back, so it passes the checks"
    assert str(run.why("new")).startswith("region us is cut off since ")
    (eu, us) = lab.regions()
    assert (eu.home, eu.reachable, us.reachable, us.workers) == (True, True, False, 0)
    offers = [event for event in run.events() if event.kind == "PoolOffered"]
    assert [reach.name for reach in offers[-1].regions if reach.since is not None] == ["us"], "it is in the journal"
    open_gate(gate)
    until(lambda: far._said, "it has ended there, and nobody here knows")
    assert run.nodes["long"].state == "RUNNING"
    far.back()
    assert run.wait(30)["later"] == "done meanwhile, and later"
    assert run.nodes["long"].attempt == 1, "it ran once"
    assert {entry.region for entry in run.chronicle()} == {"controller", "eu", "us"}
    until(lambda: all(region.reachable for region in lab.regions()))


def test_all_labs_of_a_store_see_the_regions_and_who_is_behind(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(regions={"eu": "inline", "us": "inline"}, region="eu", store=store, workers=1) as lab:
        until(lambda: lab.regions()[0].events == 0, "the lab in eu has said what it has seen")
        (eu, us) = lab.regions()
        assert isinstance(eu, Region)
        assert (eu.name, eu.home, eu.slots, eu.reachable) == ("eu", True, 1, True)
        assert (us.name, us.home, us.events, us.seconds) == ("us", False, None, None), "no lab is there"
        assert str(us) == "region us answers"
        assert lab.cut_off is None


def another(**options: Any) -> hx.Lab:
    """A lab as another process has it."""
    live, registry._LIVE = registry._LIVE, {}
    try:
        return hx.Lab(leader=False, **options)
    finally:
        registry._LIVE = live


def test_a_lab_of_another_region_sees_the_same_and_is_behind_while_it_has_not_seen_all(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(regions={"eu": "inline", "us": "inline"}, region="eu", store=store, workers=1) as lab:
        gate = tmp_path / "gate"
        waits = hx.NodeSpec("waits", pass_gate, params={"gate": str(gate)}, requires={"region:eu"})
        run = lab.start(hx.Dag.of(waits))
        until(lambda: run.nodes["waits"].state == "RUNNING")
        with another(store=store, region="us") as there, another(store=store) as nowhere:
            assert until(lambda: [(row.name, row.home) for row in there.regions()]) == [("eu", True), ("us", False)]
            until(lambda: lab.regions()[1].events == run.view.seq, "us has seen nothing of the run")
            there.attach(run.id)
            until(lambda: lab.regions()[1].events == 0, "and now all")
            assert lab.regions()[1].seconds is not None
            assert [row.name for row in nowhere.regions()] == ["eu", "us"], "whoever looks sees them"
            assert nowhere.cut_off is None
        open_gate(gate)
        run.wait(30)
    with another(store=store) as later:
        assert later.regions() == [], "nobody leads"


def test_where_the_store_is_cut_off_nothing_is_decided_and_says_since_when_while_drafts_are_edited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Severed()
    with hx.Lab(regions={"eu": "inline"}, region="eu", store=store, policy="pair", owner="dana") as lab:
        lab.add_agent(hx.HumanAgent("arun"))
        gate = tmp_path / "gate"
        run = lab.start(hx.Dag.of(hx.NodeSpec("waits", pass_gate, params={"gate": str(gate)})))
        draft = lab.draft("plan", of=run)
        proposal = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda: 1)), by="dana")
        store.away = True
        monkeypatch.setattr(regions, "SILENCE", 0.3)
        said = until(lambda: lab.cut_off)
        assert said.startswith("region eu is cut off from the others since ")
        assert (proposal.state, proposal.why) == ("OPEN", said)
        with pytest.raises(hx.StoreUnavailable, match="nothing is decided here until it is back; drafts can be edited"):
            proposal.vote("arun", "approve")
        draft.add_node(hx.NodeSpec("offline", lambda: 2))
        assert "offline" in draft.dag
        assert draft.unsent == 1
        monkeypatch.undo()
        store.away = False
        until(lambda: lab.cut_off is None)
        until(lambda: draft.dag and draft.unsent == 0)
        proposal.vote("arun", "approve")
        assert proposal.wait(10) == "APPLIED"
        open_gate(gate)
        assert run.wait(30)["more"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regions": {}}, "at least one region"),
        ({"regions": ["eu"]}, "at least one region and its pool"),
        ({"regions": {"e u": "inline"}}, "'e u' is no name of a region"),
        ({"regions": {"eu/1": "inline"}}, "'eu/1' is no name of a region"),
        ({"regions": {3: "inline"}}, "3 is no name of a region"),
        ({"regions": {"eu": "inline"}, "region": "us"}, "region='us' is none of the regions: eu"),
        ({"regions": {"eu": "inline"}, "pool": "inline"}, "not both"),
        ({"regions": {"eu": "nonsense"}}, "not 'nonsense'"),
    ],
)
def test_regions_that_make_no_sense_are_refused_with_what_to_write(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hx.Lab(store="memory://", **options)
