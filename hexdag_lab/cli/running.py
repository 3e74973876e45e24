"""Commands that run a graph in this process: `demo`, `run`, `attach`."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from ..agents.mind import Endpoint, check_extra
from ..core.base.errors import HexdagError
from ..lab import Lab
from ..lab.rows import GOING_ON
from .commands import Commands, given, must_exist, screen
from .loading import load


def add(commands: Commands) -> None:
    """Add them to the parser."""
    pool: dict[str, Any] = {"default": "dask", "help": '"dask" (own workers), "inline" or a scheduler address'}
    demo = commands.add("demo", _demo, "model search on real data, changed while it runs by agents and you")
    demo.add_argument("--yes", action="store_true", help="a scripted person decides (also without a terminal)")
    demo.add_argument("--seed", type=int, default=0, help="which images are held out")
    demo.add_argument("--pool", **pool)
    demo.add_argument("--run-id", default=None, help="default: the next free run-N")
    demo.add_argument("--serve", action="store_true", help="print an address where you can watch and decide")
    demo.add_argument("--owner", default=None, help="who you are; default: your login name")
    demo.add_argument("--llm", default=None, metavar="URL", help="agents with a model at this OpenAI-compatible server")
    demo.add_argument(
        "--llm-model", default="default", metavar="NAME", help="which of its models; default: %(default)s"
    )
    demo.add_argument("--llm-key", default=None, metavar="VARIABLE", help="the environment variable with its key")
    run = commands.add("run", _run, "run a graph of a file: FILE.py:NAME", "target")
    run.add_argument("--pool", **pool)
    run.add_argument("--run-id", default=None, help="default: the next free run-N")
    run.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="text, or JSON")
    attach = commands.add("attach", _attach, "go on with a run whose process is gone, or watch it", "run")
    attach.add_argument("--pool", **pool)


def _demo(options: argparse.Namespace) -> int:
    from ..demo import first_graph, join, policy, show
    from ..demo.digits import BUDGET
    from ..demo.search import Scores

    console = screen()
    person_here = sys.stdin.isatty() and console.is_terminal and not options.yes
    began = time.monotonic()
    models = None if options.llm is None else _models(options)
    listed = None if models is None else models.catalog()
    with (
        Lab(pool=options.pool, store=options.store, leader=True, owner=options.owner, catalog=listed) as lab,
        contextlib.ExitStack() as stack,
    ):
        if options.serve:
            stack.enter_context(_dashboard(options.store, lab.owner.id))
        join(lab, scripted=options.yes or not (person_here or options.serve))
        if models is not None:
            models.join(lab, Endpoint(options.llm_model, options.llm, options.llm_key))
        inputs = {"seed": options.seed}
        run = lab.start(first_graph(), inputs=inputs, run_id=options.run_id, policy=policy(), budget=BUDGET)
        _started(options, run, console)
        show.follow(run, console, lab.owner.id if person_here else None, Scores())
        show.finish(run, console, options.seed, time.monotonic() - began)
        if options.serve:
            console.print("the dashboard stays until you press Ctrl-C")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
        return 0 if run.status == "SUCCEEDED" else 1


def _models(options: argparse.Namespace) -> Any:
    """The demo's agents with a language model; what is wrong with their endpoint is said before anything is started."""
    check_extra()
    Endpoint(options.llm_model, options.llm, options.llm_key)
    from ..demo import llm

    return llm


@contextlib.contextmanager
def _dashboard(store: str, agent: str) -> Iterator[None]:
    """The dashboard in a process of its own, as `hexdag-lab serve` starts it, while this one runs."""
    command = [sys.executable, "-m", "hexdag_lab", "--store", store, "serve", "--port", "0", "--agent", agent]
    served = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert served.stdout is not None
    try:
        for line in served.stdout:
            print(line, end="", flush=True)
            if "token=" in line:
                break
        yield
    finally:
        served.terminate()
        served.wait(10)


def _run(options: argparse.Namespace) -> int:
    from ..core.dag.dag import Dag
    from ..demo import show
    from ..views import terminal

    dag = load(options.target, Dag, "dag")
    inputs = dict(given(text) for text in options.input)
    console = screen()
    with Lab(pool=options.pool, store=options.store) as lab:  # a service may lead it, and the run outlives this
        run = lab.start(dag, inputs=inputs, run_id=options.run_id)
        _started(options, run, console)
        show.follow(run, console, lab.owner.id)
        console.print(terminal.versions(run.view.state, console.width))
        _traces(run)
        for name, value in run.wait().items():
            console.print(f"{name} = {value!r}"[:200], markup=False, highlight=False, soft_wrap=True)
    return 0


def _started(options: argparse.Namespace, run: Any, console: Any) -> None:
    options.started = run.id
    text = f"run {run.id} in {options.store}; if this process dies: hexdag-lab attach {run.id}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _traces(run: Any) -> None:
    """The user's own lines of what failed."""
    for name, node in run.nodes.items():
        if node.state == "FAILED":
            print(f"{name} failed: {node.failure}\n{node.trace}".rstrip(), file=sys.stderr)


def _attach(options: argparse.Namespace) -> int:
    from ..demo import show
    from ..views import terminal

    console = screen()
    must_exist(options.store)
    with Lab(pool=options.pool, store=options.store) as lab:
        run = lab.attach(options.run)
        over = run.status not in GOING_ON
        what = "looking at" if over else "going on with" if lab.leads else "watching"
        console.print(f"{what} {run.id}", highlight=False)
        options.started = run.id
        show.follow(run, console, lab.owner.id if sys.stdin.isatty() else None, gone=lambda: not lab.led)
        console.print(terminal.versions(run.view.state, console.width))
        _traces(run)
        if run.status in GOING_ON:
            raise HexdagError(f"the process that led {run.id} is gone; hexdag-lab attach {run.id} goes on with it")
        console.print(f"run {run.id} is {run.status}", highlight=False)
        return 0 if run.status == "SUCCEEDED" else 1
