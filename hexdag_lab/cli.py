"""`hexdag-lab`: runs from a terminal. Thin: every command is a few calls that a notebook could make."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .core.base.errors import HexdagError, RunFailed
from .lab import Lab
from .lab.lab import DEFAULT_STORE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except RunFailed as error:
        print(f"hexdag-lab: {error}", file=sys.stderr)
        return 1
    except (HexdagError, ValueError, TimeoutError) as error:
        print(f"hexdag-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nhexdag-lab: interrupted; `hexdag-lab runs` lists what can be attached again", file=sys.stderr
        )
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hexdag-lab", description="Pull requests for a running graph.")
    parser.add_argument(
        "--store", default=os.environ.get("HEXDAG_STORE", DEFAULT_STORE), help="default: %(default)s"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str, *words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        for word in words:
            sub.add_argument(word)
        sub.set_defaults(command=function)
        return sub

    demo = command("demo", _demo, "model search on real data, changed while it runs by agents and you")
    demo.add_argument(
        "--yes", action="store_true", help="a scripted person decides (also without a terminal)"
    )
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--pool", default="dask", help='"dask", "inline" or a scheduler address')
    demo.add_argument("--run-id", default=None)
    run = command("run", _run, "run a graph of a file: FILE.py:NAME", "target")
    run.add_argument("--pool", default="dask")
    run.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="text, or JSON")
    command("runs", _runs, "the runs of the store")
    attach = command("attach", _attach, "go on with a run whose process is gone, or watch it", "run")
    attach.add_argument("--pool", default="dask")
    command("inbox", _inbox, "open proposals, the most urgent first")
    vote = command(
        "vote", _vote, "vote on a proposal: approve, reject, abstain or request_changes", "proposal", "choice"
    )
    vote.add_argument("--reason", default="")
    vote.add_argument("--by", default=None, help="default: your login name")
    diff = command("diff", _diff, "what differs between two versions of a run", "run")
    diff.add_argument("old", type=int)
    diff.add_argument("new", type=int)
    command("story", _story, "what happened to a node", "run", "node")
    return parser


def _console() -> Any:
    from rich.console import Console

    return Console()


def _demo(options: argparse.Namespace) -> int:
    from .demo import first_graph, join, policy, show
    from .demo.digits import BUDGET

    console = _console()
    person_here = sys.stdin.isatty() and console.is_terminal and not options.yes
    began = time.monotonic()
    with Lab(pool=options.pool, store=options.store, leader=True) as lab:
        join(lab, scripted=not person_here)
        run = lab.start(
            first_graph(),
            inputs={"seed": options.seed},
            run_id=options.run_id,
            policy=policy(),
            budget=BUDGET,
        )
        console.print(
            f"run {run.id} in {options.store}; if this process dies: hexdag-lab attach {run.id}",
            highlight=False,
        )
        show.follow(run, console, lab.owner if person_here else None)
        show.finish(run, console, options.seed, time.monotonic() - began)
        return 0 if run.status == "SUCCEEDED" else 1


def _run(options: argparse.Namespace) -> int:
    from .demo import show
    from .views import terminal

    dag = _load(options.target)
    inputs = dict(_input(text) for text in options.input)
    console = _console()
    with Lab(pool=options.pool, store=options.store, leader=True) as lab:
        run = lab.start(dag, inputs=inputs)
        show.follow(run, console, lab.owner)
        console.print(terminal.versions(run.view.state))
        for name, value in run.wait().items():
            console.print(f"{name} = {value!r}"[:200], markup=False)
    return 0


def _load(target: str) -> Any:
    """The graph of FILE.py:NAME."""
    from .core.dag.dag import Dag

    file, _, name = target.partition(":")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no file {file!r}; write FILE.py:NAME, where NAME is a Dag in it")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    dag = getattr(module, name or "dag", None)
    if not isinstance(dag, Dag):
        raise ValueError(f"{file} has no Dag named {name or 'dag'!r}")
    return dag


def _input(text: str) -> tuple[str, Any]:
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--input is NAME=VALUE, not {text!r}")
    with contextlib.suppress(ValueError):
        return name, json.loads(value)
    return name, value


def _watch(store: str) -> Lab:
    """A lab to look at and to vote in; it never leads."""
    return Lab(store=store, leader=False)


def _runs(options: argparse.Namespace) -> int:
    from rich.table import Table

    table = Table("run", "status", "version", "nodes", "open", "by")
    with _watch(options.store) as lab:
        rows = lab.runs()
    for row in rows:
        live = row.status in ("RUNNING", "PAUSED")
        status = (
            f"{row.status} (orphaned: hexdag-lab attach {row.id})" if live and not row.led else row.status
        )
        table.add_row(row.id, status, f"v{row.version}", f"{row.done}/{row.nodes}", str(row.open), row.by)
    _console().print(table if rows else f"no runs in {options.store}")
    return 0


def _attach(options: argparse.Namespace) -> int:
    from .demo import show
    from .views import terminal

    console = _console()
    with Lab(pool=options.pool, store=options.store) as lab:
        run = lab.attach(options.run)
        console.print(f"{'going on with' if lab.leads else 'watching'} {run.id}", highlight=False)
        show.follow(run, console, lab.owner if sys.stdin.isatty() else None)
        console.print(terminal.versions(run.view.state))
        run.wait()
    return 0


def _inbox(options: argparse.Namespace) -> int:
    from .views import terminal

    console = _console()
    with _watch(options.store) as lab:
        found = lab.inbox()
        for proposal in found:
            state = lab.attached(proposal.id.rpartition("/")[0]).view.state
            console.print(terminal.card(state, state.proposals[proposal.id], time.time()))
    if not found:
        console.print("nothing waits for a decision")
    return 0


def _vote(options: argparse.Namespace) -> int:
    with _watch(options.store) as lab:
        lab.vote(options.proposal, options.by or lab.owner, options.choice, options.reason, via="key")
        proposal = lab.proposal(options.proposal)
        print(f"{proposal.id}: {proposal.state}, {proposal.tally}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    with _watch(options.store) as lab:
        print(lab.attached(options.run).view.diff(options.old, options.new))
    return 0


def _story(options: argparse.Namespace) -> int:
    with _watch(options.store) as lab:
        print("\n".join(lab.attached(options.run).story(options.node)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
