"""`hexdag-lab mcp`: a door for an agent that comes from elsewhere, such as a coding assistant."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading

from .commands import Commands, watched
from .loading import load

TOKEN = "HEXDAG_TOKEN"  #: the variable that holds the token of `--url`: it is in no command line


def add(commands: Commands) -> None:
    """Add it to the parser."""
    text = "serve a lab to an agent from elsewhere by the Model Context Protocol, on standard input and output"
    mcp = commands.add("mcp", _mcp, text)
    mcp.add_argument("--agent", action="append", help="who comes in, an agent of the lab; repeatable with --http")
    text = "what new nodes can be built from; default: nothing"
    mcp.add_argument("--catalog", default=None, metavar="FILE.py:NAME", help=text)
    how = mcp.add_mutually_exclusive_group()
    how.add_argument("--http", action="store_true", help="on an address of this machine instead, and print the tokens")
    text = f"hand on to such an address, with the token in {TOKEN}: for clients that start a process"
    how.add_argument("--url", default=None, help=text)
    mcp.add_argument("--port", type=int, default=0, help="of --http; default: a free one")


def _mcp(options: argparse.Namespace) -> int:
    from ..agents import mcp
    from ..core.dag.catalog import Catalog

    if options.url is not None:
        if not os.environ.get(TOKEN):
            raise ValueError(f"the token of {options.url} is missing; put it into the variable {TOKEN}")
        mcp.bridge(options.url, os.environ[TOKEN])
        return 0
    agents = options.agent or []
    if not agents or (len(agents) > 1 and not options.http):
        raise ValueError("say with --agent which agent of the lab comes in; several can only with --http")
    catalog = load(options.catalog, Catalog, "catalog") if options.catalog else None
    with watched(options.store) as lab:
        lab.catalog = catalog or lab.catalog
        if not options.http:
            mcp.stdio(lab, agents[0])
            return 0
        with mcp.served(lab, *agents, port=options.port) as door, contextlib.suppress(KeyboardInterrupt):
            print(f"{door.url} for agents from elsewhere; the bearer token says which one it is:")
            print(*(f"  {agent}: {token}" for agent, token in door.tokens.items()), sep="\n", flush=True)
            threading.Event().wait()
    return 0
