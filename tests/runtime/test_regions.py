"""Three regions, each a host of its own with a member of etcd, and a link that is cut: edits go on everywhere,
decisions are made only where the majority is, and afterwards all are one again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

import hexdag_lab as hx
from tests import servers
from tests.runtime.failover import LAYERS, WIDTH, drill
from tests.runtime.hosts import Host, network
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until

NAMES = ["home", "east", "west"]
CUT = 6.0  #: seconds for which the link is cut, at least
EDITS = 20 * CUT  #: that each region makes meanwhile; where a slow machine takes longer, the link is cut for longer
CONVERGE = 5.0  #: seconds within which all are one again
SEEDS = range(1, 6)


@contextmanager
def etcd_on(hosts: list[Host], folder: Path) -> Iterator[list[str]]:
    """A cluster with one member on each host; the addresses for clients."""
    program = servers._program("etcd", "etcd-server")
    folder.mkdir(parents=True)
    cluster = ",".join(f"m{i}=http://{host.address}:2380" for i, host in enumerate(hosts))
    with ExitStack() as undo:
        for i, host in enumerate(hosts):
            client, peer = f"http://{host.address}:2379", f"http://{host.address}:2380"
            words = ["--name", f"m{i}", "--data-dir", str(folder / f"m{i}"), "--log-level", "error", "--pre-vote"]
            words += ["--listen-client-urls", client, "--advertise-client-urls", client]
            words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            words += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
            undo.enter_context(started([*host.command, program, *words], folder / f"log{i}", folder))
        yield [f"{host.address}:2379" for host in hosts]


@contextmanager
def started(command: list[str], log: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended by its id."""
    root = str(Path(__file__).parents[2])
    with log.open("ab") as out:
        environment = {**os.environ, "PYTHONPATH": root}
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Regions:
    """The three regions of a test: what they do, and how they are."""

    def __init__(self, folder: Path, hosts: list[Host]) -> None:
        self.folder, self.hosts = folder, dict(zip(NAMES, hosts, strict=True))

    def act(self, do: str, seed: int = 0) -> None:
        aside = self.folder / "act.part"
        aside.write_text(json.dumps({"do": do, "seed": seed}))
        aside.replace(self.folder / "act")

    def said(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def all_one(self) -> bool:
        """Whether all show the same, of the same edits, and none keeps one back."""
        said = [self.said(name) for name in NAMES]
        return (
            len({one["digest"] for one in said}) == len({json.dumps(one["seen"], sort_keys=True) for one in said}) == 1
        )

    def at_work(self, name: str, seed: int) -> bool:
        """Whether a region edits the draft of a seed, and has had changes approved."""
        said = self.said(name)
        return said["seed"] == seed and said["made"] > 0 and bool(said["approved"])

    def edits(self) -> dict[str, int]:
        """How many writes each has made."""
        return {name: self.said(name)["made"] for name in NAMES}

    def since(self, moment: float) -> bool:
        """Whether all have said how they are since a moment (unix seconds)."""
        return all(self.said(name)["at"] > moment for name in NAMES)

    def tries(self) -> dict[str, int]:
        """How many edits each has tried."""
        return {name: self.said(name)["tried"] for name in NAMES}


@contextmanager
def three_regions(folder: Path) -> Iterator[Regions]:
    with network(3) as (_, hosts), etcd_on(hosts, folder / "etcd") as members, ExitStack() as undo:
        regions = Regions(folder, hosts)
        regions.act("wait")
        for i, name in enumerate(NAMES):
            url = f"etcd://{','.join(members[i:] + members[:i])}?lab=three"
            words = [sys.executable, "-m", "tests.runtime.region_peer", name, str(folder), url, *NAMES]
            log = folder / f"{name}.log"
            process = undo.enter_context(started([*hosts[i].command, *words], log, folder))

            def there(process: Any = process, log: Path = log, name: str = name) -> bool:
                assert process.poll() is None, log.read_text()[-3000:]
                return (folder / f"{name}.json").exists()

            until(there, name, 60)
        yield regions


@pytest.mark.slow
def test_a_region_that_is_cut_off_edits_on_approves_nothing_and_is_one_with_the_others_soon_after(
    tmp_path: Path,
) -> None:
    with three_regions(tmp_path) as regions:
        for seed in SEEDS:
            cut = Random(seed).choice(NAMES[1:])
            others = [name for name in NAMES if name != cut]
            regions.act("edit", seed)
            until(lambda: all(regions.at_work(name, seed) for name in NAMES), "all edit, and have changes approved")  # noqa: B023
            regions.hosts[cut].cut()
            began = time.time()
            until(lambda: regions.since(began), "all go on")  # noqa: B023
            before, tries = regions.edits(), regions.tries()
            until(lambda: time.time() - began > CUT, seconds=2 * CUT)  # noqa: B023
            until(lambda: all(made - tries[name] >= EDITS for name, made in regions.tries().items()), "edits", 60)  # noqa: B023
            apart = {name: regions.said(name) for name in NAMES}
            regions.hosts[cut].cut(False)
            healed = time.time()
            regions.act("wait", seed)
            until(regions.all_one, f"seed {seed}: all are one again", 60)
            seconds = time.time() - healed
            tried = ", ".join(f"{apart[name]['tried'] - tries[name]} in {name}" for name in NAMES)
            print(f"seed {seed}: {cut} cut off for {healed - began:.1f} s, edits: {tried}; one after {seconds:.1f} s")
            # while it was apart
            assert apart[cut]["made"] > before[cut], "it edits on"
            assert apart[cut]["unsent"] > 0
            assert {apart[name]["digest"] for name in others} != {apart[cut]["digest"]}
            approvals = [name for at, name in apart[cut]["approved"] if began + 0.5 < at < healed]
            assert approvals == [], "and approves nothing"
            assert "cut off from home region home since" in apart[cut]["cut_off"]
            assert any("cut off from home region" in why for at, why in apart[cut]["refused"] if at > began)
            assert any(at > began for name in others for at, _ in apart[name]["approved"]), "the majority decides on"
            # and afterwards
            assert seconds < CONVERGE
            made = {regions.said(name)["id"]: regions.said(name)["made"] for name in NAMES}
            for name in NAMES:
                assert {id_: regions.said(name)["seen"][id_] for id_ in made} == made, "no edit is lost"
        regions.act("end")


@pytest.mark.slow
def test_when_the_home_region_is_cut_off_another_leads_and_the_old_one_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the key is in `.hexdag` of the current directory
    regions = ",".join(f"{name}=inline" for name in NAMES)
    with network(3) as (_, hosts), etcd_on(hosts, tmp_path / "etcd") as members:
        store = f"etcd://{','.join(members[::-1])}?lab=three"
        found = drill(tmp_path, store, "cut off", words=("--pool", regions, "--region", "home"), hosts=hosts)
    print(f"another region leads after {found.seconds[0]:.1f} s")
    assert found.results == LAYERS * WIDTH
    assert (found.doubled, found.lost, found.findings) == (0, 0, ())
    assert found.versions == (*range(1, len(found.versions) + 1),), "one chain of versions, whoever led"


def far(witness: str, gate: str) -> str:
    """What runs in the region that is cut off."""
    ran(witness, "far")
    pass_gate(gate)
    return "done meanwhile"


@pytest.mark.slow
@pytest.mark.dask
def test_what_runs_behind_a_link_that_is_cut_goes_on_and_is_told_late_where_it_belongs(tmp_path: Path) -> None:
    witness, gate = tmp_path / "witness", tmp_path / "gate"
    with network(1) as (_, (host,)), ExitStack() as undo:
        address = f"tcp://{host.address}:8786"
        scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", host.address, "--no-dashboard"]
        worker = [sys.executable, "-m", "hexdag_lab", "worker", address, "--name", "tower", "--wait", "30"]
        for number, words in enumerate((scheduler, worker)):
            undo.enter_context(started([*host.command, *words], tmp_path / f"log{number}", tmp_path))
        until(lambda: "Scheduler at:" in (tmp_path / "log0").read_text(), "a scheduler")
        until(lambda: "tower" in (tmp_path / "log1").read_text(), "a worker")
        lab = undo.enter_context(hx.Lab(regions={"home": "inline", "away": address}, region="home", store="memory://"))
        until(lambda: [region.workers for region in lab.regions()] == [1, 1], "a worker in each region")
        params = {"witness": str(witness), "gate": str(gate)}
        there = hx.NodeSpec("far", far, params=params, requires={"region:away"})
        here = hx.NodeSpec("near", lambda far: far + ", and told", requires={"region:home"}).after("far")
        run = lab.start(hx.Dag.of(there, here), run_id="cut")
        until(lambda: run.nodes["far"].state == "RUNNING")
        host.cut()
        began = time.monotonic()
        until(lambda: "region away is cut off since" in (run.why("far") or ""))
        open_gate(gate)
        until(lambda: time.monotonic() - began > CUT, seconds=2 * CUT)
        assert run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("beside", lambda: 1))).wait(10) == "APPLIED"
        until(lambda: run.nodes["beside"].state == "SUCCEEDED", "the other region goes on")
        assert run.nodes["far"].state == "RUNNING"
        host.cut(False)
        healed = time.monotonic()
        assert run.wait(60)["near"] == "done meanwhile, and told"
        print(f"told {time.monotonic() - healed:.1f} s after the link was back")
        assert executions(witness) == {"far": 1}
        (ended,) = [e for e in run.chronicle() if e.event.kind == "NodeSucceeded" and e.event.node == "far"]
        assert ended.region == "away"
        assert ended.late > 1.0
