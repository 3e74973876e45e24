"""A lab in a process of its own, for the browser tests: a short run that an agent wants to change.

    python lab_script.py [nodes] [owner] [file]

It prints `open` when the lab is, waits until there is a file of that name if one is given, prints `ready RUN PROPOSAL`
when the proposal is open, and what became of the run when it has ended.
"""

import sys
import time
from pathlib import Path

import hexdag_lab as hx


def work(seconds: float = 0.1, **ups: object) -> float:
    time.sleep(seconds)
    return seconds


def dispute(lab: hx.Lab, run: hx.Run) -> None:
    """A draft of the run in which lea, who was away, and the owner have changed one node."""
    draft = lab.draft("weekend", of=run).add_node(hx.NodeSpec("look", work))
    with hx.Lab(pool="inline", store="memory://", owner="lea") as elsewhere:
        draft.save("weekend.draft")
        hers = elsewhere.draft("weekend").merge("weekend.draft")
        hers.replace_node("look", hx.NodeSpec("look", work, params={"seconds": 0.2})).save("hers.draft")
    draft.replace_node("look", hx.NodeSpec("look", work, params={"seconds": 0.3})).merge("hers.draft")
    draft.add_node(hx.NodeSpec("late", work))


def main(nodes: int = 9, owner: str = "", file: str = "") -> None:
    with hx.Lab(pool="inline", workers=2, owner=owner or None) as lab:
        print("open", flush=True)
        while file and not Path(file).exists():
            time.sleep(0.02)
        lab.add_agent(hx.Agent("critic", role="orchestrator", trust=0.8))
        specs = [hx.NodeSpec(f"n{i}", work).after(*([f"n{i - 3}"] if i >= 3 else [])) for i in range(nodes)]
        run = lab.start(hx.Dag.of(*specs))
        change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("extra", work, params={"seconds": 0.5}).after("n1"))
        p = run.propose(change, by="critic", reason="<b>one more look</b> at n1")
        dispute(lab, run)
        print("ready", run.id, p.id, flush=True)
        run.wait(120)
        cast = [(ballot.voter, ballot.via) for ballot in p.tally.ballots]
        print("ended", run.status, "extra" in run.results(), p.state, p.tally, *cast, flush=True)


if __name__ == "__main__":
    main(*(convert(text) for convert, text in zip((int, str, str), sys.argv[1:], strict=False)))
