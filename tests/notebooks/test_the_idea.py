"""The roadmap's own example runs, changes itself twice while it runs, and prints the same on both pools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "notebooks" / "the_idea.py"
EXPECTED = """\
v1  collect, index + research, publish

SUSPENDED: research waits for proposal run-1/research-1
researcher proposes +1 node against v1: "complexity 0.93 is above 0.8"
checks: all hold; effect: starts deep_analysis, throws away 0
  critic: approve "it only adds"
  planner: approve "it only adds"
  runner: approve "safe; costs 4 of the 10 left"
tally: 0.52 of 0.66, needs marie
marie approves: APPLIED as v2
+ deep_analysis
+ research -> deep_analysis

planner proposes +1 node against v2: "the deeper analysis deserves a summary"
checks: all hold; effect: starts summary, throws away 0
  critic: approve "it only adds"
  runner: approve "safe; costs 1 of the 6 left"
tally: 0.33 of 0.66, needs marie; quorum 1 of 2 voters, needs marie
marie approves: APPLIED as v3
+ summary
+ deep_analysis -> summary
+ publish -> summary

index is RUNNING, attempt 1, since v1
collect = ['voting: paper 1', 'voting: paper 2', 'voting: paper 3', 'voting: paper 4', 'voting: paper 5', \
'voting: paper 6', 'voting: paper 7']
deep_analysis = 'analysed at complexity 0.93'
index = 7
publish = 'published 2 findings'
research = {'complexity': 0.93, 'asked for more': 'APPLIED'}
summary = 'published 2 findings; analysed at complexity 0.93'

who changed what, and why
v1  owner: started
v2  researcher: complexity 0.93 is above 0.8
v3  planner: the deeper analysis deserves a summary

the story of research
run run-1 started
research started
research waits for run-1/research-1
v2 by researcher: +1 node
research goes on: the proposal is APPLIED
research started
research succeeded
the run ended: SUCCEEDED

spent 5 of 10
the graph at the start had 4 nodes, and now has 6
"""


@pytest.mark.parametrize("pool", ["inline", pytest.param("dask", marks=pytest.mark.dask)])
def test_the_idea(pool: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), pool], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stderr == ""
    assert done.stdout == EXPECTED
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
