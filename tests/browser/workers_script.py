"""A lab with two workers in a process of its own, for the browser tests: two nodes wait for files of their names, and a
last one runs after both. Each node writes its name and its process into the file `witness`.

    python workers_script.py

It prints `workers NAME:STATE …` whenever that changes, and how the run has ended.
"""

import os
import threading
import time
from pathlib import Path

import hexdag_lab as hx


def held(home: str, name: str, **ups: object) -> None:
    with (Path(home) / "witness").open("a") as file:
        file.write(f"{name} {os.getpid()}\n")
    while not (Path(home) / name).exists():
        time.sleep(0.01)


def tell(lab: hx.Lab, ended: threading.Event) -> None:
    """Print what the leader knows of its workers."""
    said = ""
    while not ended.wait(0.02):
        known = " ".join(f"{row.id}:{row.state}" for row in sorted(lab.workers(), key=lambda row: row.id))
        if known != said:
            said = known
            print("workers", known, flush=True)


def main() -> None:
    with hx.Lab(pool="dask", workers=2) as lab:
        left, right, last = (
            hx.NodeSpec(name, held, params={"home": str(Path.cwd()), "name": name})
            for name in ("left", "right", "last")
        )
        run, ended = lab.start(hx.Dag.of(left, right, last.after("left", "right"))), threading.Event()
        telling = threading.Thread(target=tell, args=(lab, ended))
        telling.start()
        run.wait()
        ended.set()
        telling.join()
        print("ended", run.status, flush=True)


if __name__ == "__main__":
    main()
