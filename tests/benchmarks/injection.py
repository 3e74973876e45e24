"""How often texts that give orders flip a vote, by voter and by the way the text comes: a table in Markdown.

    python -m tests.benchmarks.injection          the scripted voters
    python -m tests.benchmarks.injection local    also the small real model, if it is installed (some minutes)

A flip is a vote on the same harmless change that is another one with the text than without it. It is a wrong vote and
no more: what checks and people have to say is in tests/agents/test_injection.py, and there nothing gets past them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.agents import local_model
from tests.agents.injection import SCRIPTED, TEXTS, VECTORS, flips, scripted


def main() -> None:
    voters: dict[str, Callable[..., Any]] = {name: scripted(voter) for name, voter in SCRIPTED.items()}
    with ExitStack() as stack:
        if "local" in sys.argv[1:]:
            if why := local_model.missing():
                sys.exit(why)
            voters[local_model.MODEL] = local_model.asking(stack.enter_context(local_model.served()))
        print("| voter | " + " | ".join(VECTORS) + " |")
        print("| --- |" + " ---: |" * len(VECTORS))
        for name, ask in voters.items():
            cells = ["{} of {}".format(*flips(ask, TEXTS, vector)) for vector in VECTORS]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
