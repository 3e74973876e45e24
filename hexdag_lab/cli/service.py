"""Commands that lead a lab for others: `up`, `standby`, and `down`. Notebooks and dashboards talk to them through the
store."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from functools import partial

from ..core.base.errors import HexdagError
from ..lab.entrance import Entrance
from ..lab.live import Announcement
from ..lab.places import login
from ..lab.service import Service, end, leader_of
from ..runtime import wire
from ..runtime.lead import SERVICE_SECONDS
from ..runtime.pools import checked_regions, pool_from_text
from ..runtime.stores import where
from .commands import Commands, must_exist

SHORTEST = 1.0  #: seconds of a lease


def add(commands: Commands) -> None:
    """Add them to the parser."""
    up = commands.add("up", _up, "lead the lab as a service: notebooks and dashboards talk to it through the store")
    up.add_argument(
        "--idle", type=float, default=None, metavar="SECONDS", help="end after so long without anything to do"
    )
    standby = commands.add(
        "standby", _standby, "lead as soon as nobody does: when the leader is killed, stuck or cut off"
    )
    for command in (up, standby):
        command.add_argument(
            "--pool", default="dask",
            help='"dask" (own workers), "inline", a scheduler address, or one for each region: eu=ADDRESS,us=ADDRESS',
        )  # fmt: skip
        command.add_argument("--region", default="", metavar="NAME", help="of these regions the one where this is")
        command.add_argument("--workers", type=int, default=None, help="of its own pool; default: one a core")
        command.add_argument("--threads", type=int, default=1, help="slots of each worker; default: %(default)s")
        command.add_argument(
            "--standby-workers",
            type=int,
            default=0,
            metavar="N",
            help="further ones that replace those that fail",
        )
        command.add_argument(
            "--blobs", default=None, metavar="URL", help="where big results go; default: beside the store"
        )
        command.add_argument(
            "--no-grouping", dest="grouping", action="store_false", help="never run short nodes in one task"
        )
        command.add_argument("--owner", default=None, help="who goes on with runs; default: your login name")
        command.add_argument(
            "--ttl", type=float, default=SERVICE_SECONDS, metavar="SECONDS",
            help="after so long without a word a standby takes over; default: %(default)s",
        )  # fmt: skip

    commands.add("down", _down, "end the service that leads the lab, if it is on this host; runs wait for the next one")


def _down(options: argparse.Namespace) -> int:
    must_exist(options.store)
    holder = asyncio.run(leader_of(options.store))
    if holder is None:
        raise HexdagError(f"nobody leads the lab in {where(options.store)}")
    if not holder.endswith(wire.SERVICE):
        raise HexdagError(f"the lab is led by no service but by a program of its own ({holder}): end it there")
    asyncio.run(end(options.store, holder))
    print(f"the service has ended ({holder})")
    return 0


def _up(options: argparse.Namespace) -> int:
    return _served(options, "up")


def _standby(options: argparse.Namespace) -> int:
    return _served(options, "standby")


def _served(options: argparse.Namespace, how: str) -> int:
    if not options.ttl >= SHORTEST:
        raise ValueError(f"--ttl is {SHORTEST:g} s or more, not {options.ttl:g}")
    options.pool = pool_from_text(options.pool)
    if isinstance(options.pool, dict):
        checked_regions(options.pool, options.region)
    elif options.region:
        raise ValueError(f"--region {options.region} is one of several: --pool {options.region}=ADDRESS,…")
    if options.store.startswith("memory:"):
        raise ValueError("a store in memory is seen by no other process; say --store sqlite:///PATH")
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    asyncio.run(_run(options, how))
    return 0


async def _run(options: argparse.Namespace, how: str) -> None:
    pool = (options.workers, options.threads, options.standby_workers)
    service = {"label": wire.SERVICE, "ttl": options.ttl, "region": options.region, "grouping": options.grouping}
    entrance = Entrance.of(options.pool, options.store, options.blobs, *pool, may_lead=True, **service)
    say = partial(print, f"hexdag-lab {how}: {where(options.store)}:", flush=True)
    owner = options.owner or login()
    announced = Announcement(options.store, owner)
    leading = Service(entrance, owner, say, announced, getattr(options, "idle", None))
    for number in (signal.SIGTERM, signal.SIGINT):  # an end in good order: the lead is given back
        asyncio.get_running_loop().add_signal_handler(number, leading.stop)
    await (leading.up() if how == "up" else leading.standby())
    say("has ended")
