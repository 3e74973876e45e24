"""The controlling process is killed with SIGKILL at any moment, and attaching its run in another one finishes it.

What had finished by then, by the journal, does not run again: nodes leave witnesses that know nothing of the journal.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import Refused
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.runtime.history import Journal
from hexdag_lab.runtime.stores import store_of
from tests.runtime.kit import PATIENCE, executions, until

LAYERS, WIDTH = 5, 4
POOLS = ["inline", pytest.param("dask", marks=pytest.mark.dask)]

SCRIPT = """
    import sys, time
    import hexdag_lab as hx
    from tests.runtime.kit import ran

    pool, url, witness = sys.argv[1:]

    def work(name, witness, **ups):
        ran(witness, name)
        time.sleep(0.02)
        return 1 + sum(ups.values())

    def large(name, witness, **ups):
        work(name, witness, **ups)
        return bytes(200_000)

    def layered():
        specs = []
        for i in range({layers} * {width}):
            layer, place = divmod(i, {width})
            ups = {{(layer - 1) * {width} + (place + k) % {width} for k in (0, 1)}} if layer else set()
            params = {{"name": f"n{{i}}", "witness": witness}}
            specs.append(hx.NodeSpec(f"n{{i}}", work, params=params).after(*(f"n{{up}}" for up in ups)))
        params = {{"name": "large", "witness": witness}}
        specs.append(hx.NodeSpec("large", large, params=params, durable=True).after("n0"))
        return hx.Dag.of(*specs)

    def grow(event, context):
        if event.kind == "NodeSucceeded" and event.node in ("n1", "n6", "n11"):
            name = "grown_" + event.node
            spec = hx.NodeSpec(name, work, params={{"name": name, "witness": witness}})
            return context.change().add_node(spec.after(event.node))

    if __name__ == "__main__":
        lab = hx.Lab(pool=pool, store=url, workers=2, policy="autopilot")
        lab.add_agent(hx.Agent("grower", on_event=grow))
        lab.start(layered(), run_id="killed").wait()
"""


def expected() -> dict[str, int]:
    """What each node gives."""
    found: dict[str, int] = {}
    for i in range(LAYERS * WIDTH):
        layer, place = divmod(i, WIDTH)
        ups = {(layer - 1) * WIDTH + (place + k) % WIDTH for k in (0, 1)} if layer else set()
        found[f"n{i}"] = 1 + sum(found[f"n{up}"] for up in ups)
    return found | {f"grown_n{i}": found[f"n{i}"] + 1 for i in (1, 6, 11)}


def state_of(url: str) -> RunState:
    """The run as its journal has it."""

    async def fold() -> RunState:
        store = store_of(url)
        await store.open()
        try:
            return (await Journal(store).state("killed"))[0]
        finally:
            await store.close()

    return asyncio.run(fold())


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("after", [0, 1, 6, 13, 19])
def test_a_killed_controllers_run_is_finished_by_another_process(pool: str, after: int, tmp_path: Path) -> None:
    url, witness, script = f"sqlite:///{tmp_path}/lab.db", tmp_path / "witness", tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(layers=LAYERS, width=WIDTH)))
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.Popen([sys.executable, script, pool, url, str(witness)], env=path)
    until(lambda: sum(executions(witness).values()) >= after and has_run(url), "it has come so far")
    time.sleep(Random(after).uniform(0, 0.03))  # not a wait for anything: any moment will do
    killed.kill()
    killed.wait()
    before, ran_before = state_of(url), executions(witness)
    finished = {name for name, rec in before.nodes.items() if rec.state == "SUCCEEDED"}
    with hx.Lab(pool=pool, store=url, workers=2) as lab:
        run = lab.attach("killed")
        results = run.wait(PATIENCE)
        proposals = dict(run.proposals)
    assert {name: value for name, value in results.items() if name != "large"} == expected()
    assert results["large"] == bytes(200_000)
    ran_after = executions(witness)
    assert {name: ran_after[name] for name in finished} == {name: ran_before[name] for name in finished}
    assert max(ran_after.values()) <= 2
    assert len(proposals) == 3
    assert {p.state for p in proposals.values()} == {"APPLIED"}


def has_run(url: str) -> bool:
    return Path(url.removeprefix("sqlite:///")).exists() and state_of(url).started


def test_a_run_can_be_attached_again_and_again(tmp_path: Path) -> None:
    url, gate = f"sqlite:///{tmp_path}/lab.db", tmp_path / "gate"

    def held(gate: str) -> int:
        from tests.runtime.kit import pass_gate

        pass_gate(gate)
        return 1

    with hx.Lab(pool="inline", store=url) as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})), run_id="often")
    for _ in range(3):
        with hx.Lab(pool="inline", store=url) as lab:
            run = lab.attach("often")
            assert lab.attach("often").id == run.id
            until(lambda run=run: run.nodes["held"].state == "RUNNING")  # type: ignore[misc]
    gate.touch()
    with hx.Lab(pool="inline", store=url) as lab:
        assert lab.attach("often").wait(30) == {"held": 1}


def test_a_run_that_nobody_knows_cannot_be_attached(tmp_path: Path) -> None:
    with (
        hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db") as lab,
        pytest.raises(Refused, match="there is no run"),
    ):
        lab.attach("unheard-of")


def test_results_that_were_only_in_the_pool_are_made_again(tmp_path: Path) -> None:
    url, witness, gate = f"sqlite:///{tmp_path}/lab.db", tmp_path / "witness", tmp_path / "gate"

    def large(witness: str) -> bytes:
        from tests.runtime.kit import ran

        ran(witness, "large")
        return bytes(200_000)

    def size(large: bytes, gate: str) -> int:
        from tests.runtime.kit import pass_gate

        pass_gate(gate)
        return len(large)

    dag = hx.Dag.of(
        hx.NodeSpec("large", large, params={"witness": str(witness)}, durable=False),
        hx.NodeSpec("size", size, params={"gate": str(gate)}),
    )
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.start(dag, run_id="lost")
        until(lambda: run.nodes["size"].state == "RUNNING")
    gate.touch()
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("lost")
        assert run.wait(30)["size"] == 200_000
        assert [e.again for e in run.events() if e.kind == "RunAttached"] == [("large",)]
    assert executions(witness) == {"large": 2}


def test_hooks_see_what_they_have_not_seen_in_order_and_propose_it_once(tmp_path: Path) -> None:
    url, seen, gate = f"sqlite:///{tmp_path}/lab.db", tmp_path / "seen", tmp_path / "gate"

    def held(gate: str) -> int:
        from tests.runtime.kit import pass_gate

        pass_gate(gate)
        return 1

    def note(seen: str, gate: str) -> Any:
        def on_event(event: Any, context: Any) -> Any:
            from tests.runtime.kit import pass_gate, ran

            ran(seen, str(event.seq))
            if event.kind == "RunStarted":
                return context.change().add_node(hx.NodeSpec("added", bool).after("held"))
            if event.kind == "ProposalMade":
                pass_gate(gate)  # the process ends here
            return None

        return on_event

    with hx.Lab(pool="inline", store=url, policy="autopilot") as lab:
        lab.add_agent(hx.Agent("noter", on_event=note(str(seen), str(gate))))
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})), run_id="noted")
        until(lambda: "added" in run.nodes)
        made = next(e.seq for e in run.events() if e.kind == "ProposalMade")
        until(lambda: str(made) in executions(seen))
    before = [int(line.split()[0]) for line in seen.read_text().splitlines()]
    gate.touch()
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("noted")
        assert run.wait(30) == {"held": 1, "added": True}
        assert len(run.proposals) == 1
    after = [int(line.split()[0]) for line in seen.read_text().splitlines()][len(before) :]
    assert before == sorted(before)
    assert after == sorted(after)
    assert after[0] <= made < after[-1]
    assert {*before, *after} >= {
        e.seq for e in run.events() if e.kind in ("NodeStarted", "RunAttached", "ProposalApplied")
    }
