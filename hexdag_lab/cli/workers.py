"""The command that starts a worker on this machine for a scheduler that may be on another: `worker`."""

from __future__ import annotations

import argparse
import asyncio
import logging
from typing import Any

from .commands import Commands


def add(commands: Commands) -> None:
    """Add it to the parser."""
    worker = commands.add("worker", _worker, "a worker for a Dask scheduler, with what it can do", "scheduler")
    worker.add_argument("--name", default=None, help="how it is called; default: the host's name and a number")
    worker.add_argument(
        "--can",
        action="append",
        default=[],
        metavar="NAME",
        help="as gpu, or gpu=2: for two nodes at once; repeatable",
    )
    worker.add_argument("--region", default=None, metavar="NAME", help='where it is: the label "region:NAME"')
    worker.add_argument("--threads", type=int, default=1, help="how many nodes at once; default: %(default)s")
    worker.add_argument("--memory", default="auto", help="what it may use, as 4GB; default: its share of the machine")
    worker.add_argument("--standby", action="store_true", help="wait, and take the place of a worker that fails")
    worker.add_argument("--host", default=None, help="the address under which others reach it")
    worker.add_argument("--wait", type=float, default=10.0, metavar="SECONDS", help="for the scheduler; default: 10")
    for word in ("ca-file", "cert", "key"):
        worker.add_argument(f"--tls-{word}", default=None, metavar="FILE", help="as of `dask worker`")


def _worker(options: argparse.Namespace) -> int:
    from distributed.security import Security

    from ..worker.joining import Joining, default_name, join

    if options.threads < 1:
        raise ValueError(f"--threads is 1 or more, not {options.threads}")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    files = {"tls_ca_file": options.tls_ca_file, "tls_worker_cert": options.tls_cert, "tls_worker_key": options.tls_key}
    tls: dict[str, Any] = {key: value for key, value in files.items() if value is not None}
    label = [f"region:{options.region}"] if options.region is not None else []
    what = Joining(
        options.scheduler, options.name or default_name(), (*options.can, *label), options.threads, options.memory,
        options.standby, Security(**tls), options.host, options.wait,
    )  # fmt: skip
    asyncio.run(join(what, lambda line: print(line, flush=True)))
    print(f"worker {what.name} has left", flush=True)
    return 0
