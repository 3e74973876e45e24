"""The graph and its agents, in this process and without anything that stays: `python -m pytest`."""

from __future__ import annotations

from agents import AGENTS
from pipeline import dag

import hexdag_lab as hx


def test_the_summary_leaves_out_what_is_far_off() -> None:
    with hx.Lab(pool="inline", store="memory://") as lab:
        results = lab.start(dag).wait(60)
    assert results["summary"]["largest"] < 100


def test_agents_add_a_look_at_the_tails_while_it_runs() -> None:
    with hx.Lab(pool="inline", store="memory://", policy=hx.Majority()) as lab:
        for agent in AGENTS:
            lab.add_agent(agent)
        run = lab.start(dag)
        results = run.wait(60)
        assert len(run.versions) == 2
    assert set(results["tails"]) == {"low", "high"}
