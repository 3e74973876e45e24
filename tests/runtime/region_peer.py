"""One region of a test, as a process of its own: a lab that edits a draft, and tries to have changes approved.

It reads what to do from a file, `act`, and writes down how it is, as JSON, again and again. Edits are due at fixed
times: one that was held up makes up for those that are missing."""

from __future__ import annotations

import json
import logging
import random
import sys
import threading
import time
from itertools import count
from pathlib import Path

import hexdag_lab as hx
from hexdag_lab.core.base.errors import DagError, HexdagError

EVERY = 0.05  #: seconds between edits: 20 a second
TELL_EVERY, PROPOSE_EVERY = 0.25, 0.5  #: seconds
RUN = "shared"


def step(number: int) -> int:
    """What all nodes do."""
    return number


def waits(path: str) -> str:
    """A node that the run waits for, so that it goes on while the test does."""
    while not Path(path).exists():
        time.sleep(0.05)
    return path


class Peer:
    """The lab of region `name`, and what it has done."""

    def __init__(self, name: str, folder: Path, store: str, names: list[str]) -> None:
        self.name, self.folder = name, folder
        home = name == names[0]
        pools = {"regions": dict.fromkeys(names, "inline"), "workers": 1} if home else {"leader": False}
        self.lab = hx.Lab(
            store=store, blobs=f"file://{folder}/blobs", owner="team", region=name, policy="solo", **pools
        )
        if home:
            self.lab.start(hx.Dag.of(hx.NodeSpec("end", waits, params={"path": str(folder / "end")})), run_id=RUN)
        else:
            while not any(row.id == RUN for row in self.lab.runs()):
                time.sleep(0.1)
        self.run = self.lab.attach(RUN)
        self.home, self.draft = home, self.lab.draft("plan")
        self.chance, self.counted = random.Random(0), 0
        self.seed, self.editing = 0, False
        self.approved: list[tuple[float, str]] = []
        self.refused: list[tuple[float, str]] = []

    def obey(self) -> None:
        """Until the test says that it is over."""
        threading.Thread(target=self.propose, daemon=True).start()
        told, due = 0.0, time.monotonic()
        while True:
            act = json.loads((self.folder / "act").read_text())
            self.editing = act["do"] == "edit"
            if act["do"] == "end":
                return self.lab.close()
            if act["seed"] != self.seed:
                try:
                    self.draft = self.lab.draft(f"plan-{act['seed']}", of=self.run if self.home else None)
                except hx.StoreUnavailable:  # a link that was cut a moment ago is slow, and so is a busy machine
                    time.sleep(EVERY)
                    continue
                self.seed = act["seed"]
                self.chance = random.Random(f"{self.seed} {self.name}")
            due = (due if self.editing else time.monotonic()) + EVERY
            if self.editing:
                self.edit()
            if not self.editing or time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                self.tell()
            time.sleep(max(0.0, due - time.monotonic()))

    def edit(self) -> None:
        """A node more, other code or an edge for one that is there, or one less: by chance."""
        dag = self.draft.shown  # what others write shows when it looks, to tell how it is
        names, on = sorted(dag.nodes), hx.Changeset.on(dag)
        kind = self.chance.choice(["add", "add", "replace", "edge", "remove"]) if len(names) > 5 else "add"
        self.counted += 1
        try:
            if kind == "add":
                change = on.add_node(hx.NodeSpec(f"{self.name}{self.counted}", step, params={"number": self.counted}))
            elif kind == "replace":
                name = self.chance.choice(names)
                change = on.replace_node(name, hx.NodeSpec(name, step, params={"number": -self.counted}))
            elif kind == "edge":
                change = on.add_edge(*self.chance.sample(names, 2))
            else:
                change = on.remove_node(self.chance.choice(names))
            self.draft.edit(change, wait=False)
        except (DagError, HexdagError):  # it would close a cycle, or it is gone by now
            return

    def propose(self) -> None:
        """Changes of the run, which its owner approves: where a region is cut off that cannot be.

        One that is on its way when the link is cut waits for its answer, and those after it do not wait for it."""
        for number in count(1):
            time.sleep(PROPOSE_EVERY)
            if self.editing:
                threading.Thread(target=self.propose_one, args=(f"p-{self.name}{number}",), daemon=True).start()

    def propose_one(self, name: str) -> None:
        try:
            change = hx.Changeset.on(self.run.dag).add_node(hx.NodeSpec(name, step, params={"number": 0}))
            proposal = self.run.propose(change)
        except HexdagError as error:
            self.refused.append((time.time(), str(error)))
        else:
            if proposal.state == "APPLIED":
                self.approved.append((time.time(), name))

    def tell(self) -> None:
        """How it is, for the test: whole or not at all."""
        said = {
            "at": time.time(), "seed": self.seed, "digest": self.draft.dag.digest.hex(), "tried": self.counted,
            "made": self.draft._replica.seen.get(self.draft._replica.id, 0), "unsent": self.draft.unsent,
            "seen": dict(self.draft._replica.seen), "id": self.draft._replica.id,
            "conflicts": [str(held) for held in self.draft.conflicts],
            "approved": self.approved, "refused": self.refused, "cut_off": self.lab.cut_off,
            "regions": [(row.name, row.home, row.since, row.events) for row in self.lab.regions()],
        }  # fmt: skip
        aside = self.folder / f"{self.name}.part"
        aside.write_text(json.dumps(said))
        aside.replace(self.folder / f"{self.name}.json")


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    own, where, url, *others = sys.argv[1:]
    Peer(own, Path(where), url, others).obey()
