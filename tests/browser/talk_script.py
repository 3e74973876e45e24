"""A lab in a process of its own, for the browser tests: nodes that print and fail, and a proposal of many words.

    python talk_script.py WORDS

It prints `ready RUN PROPOSAL` when the proposal is open, and `ended STATUS` when the run has ended: it does so once the
file `go` is there and the proposal is decided.
"""

import sys
import time
from pathlib import Path

import hexdag_lab as hx

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202edetrevni\u202c\x07\x1b[31m\u200b "


def load() -> list[int]:
    print("load: 5 rows of 8 columns, <b>none</b> missing")
    return [3, 1, 4, 1, 5]


def fit(load: list[int], depth: int = 3) -> float:
    epoch = 0
    while not Path("go").exists():
        epoch += 1
        print(f"epoch {epoch}  loss {1 / epoch:.3f}  depth {depth}")
        time.sleep(0.1)
    print("last epoch")
    return 0.93


def check(load: list[int]) -> int:
    print("looking for rows of 9 columns", file=sys.stderr)
    return load[len(load)]


def board(fit: float) -> float:
    return fit


def main(words: int) -> None:
    with hx.Lab(pool="inline", workers=3) as lab:
        lab.add_agent(hx.Agent("explorer", role="orchestrator", trust=0.8))
        lab.start(hx.Dag.of(load), run_id="earlier").wait(30)
        run = lab.start(hx.Dag.of(load, fit, check, board))
        spec = hx.NodeSpec("fit_5", fit, params={"depth": 5}).after("load")
        change = hx.Changeset.on(run.dag).add_node(spec)
        reason = "fit leads by 2 points; deeper trees are untried. " + NASTY + "because " * words + "the end"
        p = run.propose(change, by="explorer", reason=reason)
        print("ready", run.id, p.id, flush=True)
        try:
            run.wait(120)
        except hx.RunFailed:
            print("ended", run.status, p.state, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
