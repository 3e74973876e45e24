"""How long it takes to tell a model of a run within a budget of tokens, and how much of the graph fits, as a table.

    python -m tests.benchmarks.brief

Medians of 41, interleaved over the budgets; a run of 500 nodes, 250 of them to do.
"""

from __future__ import annotations

import json
from statistics import median
from time import perf_counter

from hexdag_lab.agents.brief import brief, tokens_of
from tests.agents.test_brief import wide

BUDGETS = (400, 800, 1500, 3000)
ROUNDS = 41


def main() -> None:
    state = wide().state
    whole = tokens_of(json.dumps(json.loads(state.dag.to_json())))
    took: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
    for _ in range(ROUNDS):
        for budget, seconds in took.items():
            began = perf_counter()
            brief(state, ["fit_7"], budget)
            seconds.append(perf_counter() - began)
    print(f"The graph as JSON: {whole} tokens.\n")
    print("| budget, tokens | used | nodes in full | ms (median) | ms (slowest) |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for budget, seconds in took.items():
        text = brief(state, ["fit_7"], budget)
        nodes = sum(line.startswith("- ") for line in text.splitlines())
        print(f"| {budget} | {tokens_of(text)} | {nodes} | {median(seconds) * 1000:.1f} | {max(seconds) * 1000:.1f} |")


if __name__ == "__main__":
    main()
