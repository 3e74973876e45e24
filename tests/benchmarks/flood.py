"""A dashboard over a lab that is made up: a run of many nodes that change so many times a second, and no work.

    python -m tests.benchmarks.flood NODES CHANGES_A_SECOND [HOURS]

It serves until it is ended, and prints its address. With HOURS, the changes of so many hours, one a second, come as
fast as they can for each line that it reads; it prints `flooded` after them. Closed tabs are then forgotten as much
sooner: twenty tabs of eight hours are not twenty at once. What is measured is what views cost: there is no journal.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import hexdag_lab as hx
from hexdag_lab.core.machine.state import RunState, Version
from hexdag_lab.core.runs.run import NodeRecord, NodeState
from hexdag_lab.lab.rows import RunRow
from hexdag_lab.ports import Durability
from hexdag_lab.runtime.feed import Feed
from hexdag_lab.views import dashboard

BATCH = 0.01  #: seconds between two states
SHORT_LIVED = {"unused_session_lifetime_milliseconds": 500, "check_unused_sessions_milliseconds": 100}
TURN = (NodeState.RUNNING, NodeState.SUCCEEDED)


def nothing(**ups: object) -> None:
    """What the nodes do."""


class Quiet(Feed):
    """States without events, which observers are told of all the same."""

    def __init__(self, state: RunState) -> None:
        super().__init__(state)
        self.observers: list[Callable[[Any], None]] = []

    def observe(self, observer: Callable[[Any], None]) -> Callable[[], None]:
        self.observers.append(observer)
        return lambda: self.observers.remove(observer) if observer in self.observers else None


class Flood:
    """As much of a lab as the dashboard needs, with one run."""

    def __init__(self, nodes: int) -> None:
        wide = max(1, nodes // 25)
        specs = [
            hx.NodeSpec(f"n{i:05d}", nothing).after(*([f"n{i - wide:05d}"] if i >= wide else [])) for i in range(nodes)
        ]
        dag = hx.Dag.of(*specs)
        self.names = [spec.name for spec in specs]
        records = type(RunState().nodes)({name: NodeRecord() for name in self.names})
        made = (Version(1, dag, "nobody", "made up"),)
        state = RunState(run="flood", versions=made, dag=dag, nodes=records, slots=4)
        self.feed_ = Quiet(state)
        self.id = "flood"
        self.changed = 0

    durability = Durability(crash=False, power=False, failover=False)

    @property
    def feed(self) -> Quiet:
        return self.feed_

    def events(self) -> tuple[Any, ...]:
        return ()

    def change(self, count: int) -> None:
        """So many nodes change, one after the other."""
        state, now = self.feed_.state, time.time()
        nodes = state.nodes
        for _ in range(count):
            name = self.names[self.changed % len(self.names)]
            turn = TURN[self.changed // len(self.names) % 2]
            nodes = nodes.set(name, NodeRecord(turn, began=now, seconds=0.5, started=1))
            self.changed += 1
        self.feed_.publish(state._replace(nodes=nodes), ())
        for observer in list(self.feed_.observers):
            observer(None)

    def runs(self) -> list[RunRow]:
        return [RunRow("flood", "RUNNING", 1, 0, len(self.names), 0, "nobody", 0.0, led=True)]

    def attached(self, _: str) -> Flood:
        return self

    def workers(self) -> list[Any]:
        return []

    def inbox(self) -> list[Any]:
        return []


def main(nodes: int, rate: int, hours: float = 0) -> None:
    flood = Flood(nodes)

    def go() -> None:
        if hours:
            for _ in sys.stdin:  # when a view is there; once more, if it is asked to
                for _ in range(int(hours * 3600)):
                    flood.change(1)
                print("flooded", flush=True)
            return
        due = time.monotonic()
        while True:
            flood.change(max(1, int(rate * BATCH)))
            due = max(due + BATCH, time.monotonic() - 0.05)
            time.sleep(max(0.0, due - time.monotonic()))

    server = dashboard.serve(flood, {"t": "nobody"}, **(SHORT_LIVED if hours else {}))  # type: ignore[arg-type]
    print(f"http://127.0.0.1:{server.port}/?token=t", flush=True)
    threading.Thread(target=go, daemon=True).start()
    dashboard.run(server)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
