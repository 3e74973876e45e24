"""`hexdag-lab`: runs from a terminal. Thin: every command is a few calls that a notebook could make.

Exit codes: 0 done; 1 the run ended badly; 2 the command cannot be done, and says why; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .core.base.errors import HexdagError, RunFailed
from .lab import Lab
from .lab.lab import DEFAULT_STORE, GOING_ON

VOTER = 'one more, or several: "right=0.6 count=4 name=bot trust=0.5 family=gpt together=0.8"; repeatable'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():  # a plain kill ends as Ctrl-C does: nothing stays behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except RunFailed as error:
        print(f"hexdag-lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (HexdagError, ValueError, TimeoutError, OSError) as error:
        print(f"hexdag-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        run = getattr(options, "started", None)
        how = f"`hexdag-lab attach {run}` goes on with it" if run else "`hexdag-lab runs` lists what can be attached"
        print(f"\nhexdag-lab: interrupted; {how}", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    store: dict[str, Any] = {
        "default": os.environ.get("HEXDAG_STORE", DEFAULT_STORE), "help": "where the lab is; default: %(default)s",
    }  # fmt: skip
    parser = argparse.ArgumentParser(prog="hexdag-lab", description="Pull requests for a running graph.")
    parser.add_argument("--store", **store)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str, *words: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        for word in words:
            sub.add_argument(word)
        sub.add_argument("--store", default=argparse.SUPPRESS, help=store["help"].replace("%(default)s", DEFAULT_STORE))
        sub.set_defaults(command=function)
        return sub

    pool: dict[str, Any] = {"default": "dask", "help": '"dask" (own workers), "inline" or a scheduler address'}
    demo = command("demo", _demo, "model search on real data, changed while it runs by agents and you")
    demo.add_argument("--yes", action="store_true", help="a scripted person decides (also without a terminal)")
    demo.add_argument("--seed", type=int, default=0, help="which images are held out")
    demo.add_argument("--pool", **pool)
    demo.add_argument("--run-id", default=None, help="default: the next free run-N")
    demo.add_argument("--serve", action="store_true", help="print an address where you can watch and decide")
    demo.add_argument("--owner", default=None, help="who you are; default: your login name")
    run = command("run", _run, "run a graph of a file: FILE.py:NAME", "target")
    run.add_argument("--pool", **pool)
    run.add_argument("--run-id", default=None, help="default: the next free run-N")
    run.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="text, or JSON")
    command("runs", _runs, "the runs of the store")
    attach = command("attach", _attach, "go on with a run whose process is gone, or watch it", "run")
    attach.add_argument("--pool", **pool)
    serve = command("serve", _serve, "the dashboard in a browser: it watches the store and votes through it")
    serve.add_argument("--port", type=int, default=5006, help="0 picks a free one; default: %(default)s")
    serve.add_argument("--agent", action="append", help="print an address for this agent (default: you); repeatable")
    inbox = command("inbox", _inbox, "open proposals, the most urgent first")
    inbox.add_argument("--full", action="store_true", help="also all words that are too long for a card")
    vote = command(
        "vote", _vote, "vote on a proposal: approve, reject, abstain or request_changes", "proposal", "choice"
    )
    vote.add_argument("--reason", default="", help="why")
    vote.add_argument("--by", default=None, help="who votes; default: your login name")
    vote.add_argument(
        "--key", default=None, metavar="FILE", help="sign with this key; default: the lab's for that agent"
    )
    command("key", _key, "print the public half of the key in a file, which is made if it is not there", "file")
    audit = command("audit", _audit, "whether a run's journal is as it was written, and who approved what", "run")
    audit.add_argument("--head", default=None, metavar="FILE", help="hold it against a head that was saved before")
    audit.add_argument("--save", default=None, metavar="FILE", help="save the head, to be kept elsewhere")
    audit.add_argument("--json", action="store_true", help="print all of it as JSON")
    judge = command("judge", _judge, "say how a decided proposal turned out, or would have", "proposal")
    judge.add_argument("turned", choices=["good", "bad"])
    judge.add_argument("--reason", default="", help="why")
    judge.add_argument("--by", default=None, help="who says so; default: your login name")
    command("trust", _trust, "what an agent has earned, with the evidence", "agent")
    simulate = command("simulate-votes", _simulate, "how often which policy is right, for voters that you describe")
    simulate.add_argument("file", nargs="?", help="YAML or JSON: a list of voters, as in --voter")
    simulate.add_argument("--voter", action="append", default=[], metavar="WORDS", help=VOTER)
    simulate.add_argument("--past", type=int, default=100, help="proposals with a known outcome; default: %(default)s")
    simulate.add_argument("--good", type=float, default=0.5, help="share of good proposals; default: %(default)s")
    simulate.add_argument("--cost-false-accept", type=float, default=1, metavar="COST", help="default: %(default)s")
    simulate.add_argument("--cost-false-reject", type=float, default=1, metavar="COST", help="default: %(default)s")
    simulate.add_argument("--seed", type=int, default=0, help="of what is left to chance; default: %(default)s")
    diff = command("diff", _diff, "what differs between two versions of a run", "run")
    diff.add_argument("old", type=int)
    diff.add_argument("new", type=int)
    command("story", _story, "what happened to a node", "run", "node")
    return parser


def _console() -> Any:
    from rich.console import Console

    return Console()


# -- running


def _demo(options: argparse.Namespace) -> int:
    from .demo import first_graph, join, policy, show
    from .demo.digits import BUDGET
    from .demo.search import Scores

    console = _console()
    person_here = sys.stdin.isatty() and console.is_terminal and not options.yes
    began = time.monotonic()
    with (
        Lab(pool=options.pool, store=options.store, leader=True, owner=options.owner) as lab,
        contextlib.ExitStack() as stack,
    ):
        if options.serve:
            stack.enter_context(_dashboard(options.store, lab.owner.id))
        join(lab, scripted=options.yes or not (person_here or options.serve))
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
    from .demo import show
    from .views import terminal

    dag = _load(options.target)
    inputs = dict(_input(text) for text in options.input)
    console = _console()
    with Lab(pool=options.pool, store=options.store, leader=True) as lab:
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


def _load(target: str) -> Any:
    """The graph of FILE.py:NAME."""
    from .core.dag.dag import Dag

    file, _, name = target.partition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise ValueError(f"there is no file {file!r}; write FILE.py:NAME, where NAME is a Dag in it")
    module_name = path.stem if path.stem not in sys.modules else f"{path.stem}_file"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file!r} is no Python file; write FILE.py:NAME, where NAME is a Dag in it")
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    dag = getattr(module, name or "dag", None)
    if not isinstance(dag, Dag):
        names = ", ".join(sorted(key for key, value in vars(module).items() if isinstance(value, Dag)))
        raise HexdagError(f"{file} has no Dag named {name or 'dag'!r}; it has {names or 'none'}")
    return dag


def _input(text: str, what: str = "--input") -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{what} is NAME=VALUE, not {text!r}")
    with contextlib.suppress(ValueError):
        return name, json.loads(value)
    return name, value


def _attach(options: argparse.Namespace) -> int:
    from .demo import show
    from .views import terminal

    console = _console()
    _must_exist(options.store)
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


# -- looking and deciding, also beside a process that leads


def _must_exist(store: str) -> None:
    """Looking at a lab makes none."""
    if store.startswith("sqlite:///") and not Path(store.removeprefix("sqlite:///")).exists():
        raise ValueError(f"there is no lab in {store} yet; hexdag-lab demo makes one, or say --store sqlite:///PATH")


def _watch(store: str) -> Lab:
    """A lab to look at and to vote in; it never leads."""
    _must_exist(store)
    return Lab(store=store, leader=False)


def _runs(options: argparse.Namespace) -> int:
    from rich.table import Table

    table = Table("run", "status", "version", "nodes", "open", "by")
    with _watch(options.store) as lab:
        rows = lab.runs()
    for row in rows:
        orphaned = row.status in GOING_ON and not row.led
        status = f"{row.status} (orphaned: hexdag-lab attach {row.id})" if orphaned else row.status
        table.add_row(row.id, status, f"v{row.version}", f"{row.done}/{row.nodes}", str(row.open), row.by)
    _console().print(table if rows else f"no runs in {options.store}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from .views import dashboard

    with _watch(options.store) as lab:
        tokens = dashboard.tokens_for(*(options.agent or [lab.owner.id]))
        server = dashboard.serve(lab, tokens, options.port)
        print(f"the dashboard of {options.store}; who opens one of these addresses votes as that agent:")
        for token, agent in tokens.items():
            print(f"  {agent}: http://127.0.0.1:{server.port}/?token={token}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.start()
            server.io_loop.start()
    return 0


def _inbox(options: argparse.Namespace) -> int:
    from .views import models, terminal

    console = _console()
    with _watch(options.store) as lab:
        found = lab.inbox()
        for proposal in found:
            state = lab.attached(proposal.id.rpartition("/")[0]).view.state
            console.print(terminal.card(state, state.proposals[proposal.id], time.time(), console.width, lab.owner.id))
            if words := models.whole(state, state.proposals[proposal.id], lab.owner.id):
                text = words if options.full else "its words are cut here: hexdag-lab inbox --full shows all"
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            console.print(f"hexdag-lab vote {proposal.id} approve|reject|abstain|request_changes", style="dim")
    if not found:
        console.print("nothing waits for a decision")
    return 0


def _vote(options: argparse.Namespace) -> int:
    with _watch(options.store) as lab:
        if options.key:
            lab.keys.hold(options.by or lab.owner.id, options.key)
        lab.vote(options.proposal, options.by or lab.owner, options.choice, options.reason, via="key")
        proposal = lab.proposal(options.proposal)
        print(f"{proposal.id}: {proposal.state}, {proposal.tally}")
    return 0


def _key(options: argparse.Namespace) -> int:
    from .runtime.keys import public_half
    from .runtime.seal import make_secret, secret_of

    path = Path(options.file)
    if not path.exists():
        make_secret(path, "the key")
    print(public_half(secret_of(path, "the key")))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from .lab.audit import audit, save_head
    from .views import audited

    _must_exist(options.store)
    report = audit(options.store, options.run, options.head)
    if options.json:
        print(audited.as_json(report))
    else:
        _console().print(audited.as_text(report), soft_wrap=True)
    if options.save:
        save_head(report, options.save)
    return 1 if report.findings else 0


def _judge(options: argparse.Namespace) -> int:
    with _watch(options.store) as lab:
        lab.judge(options.proposal, options.turned == "good", options.by or lab.owner, options.reason)
        print(f"{options.proposal}: {lab.proposal(options.proposal).judged}")
    return 0


def _trust(options: argparse.Namespace) -> int:
    with _watch(options.store) as lab:
        print(lab.trust(options.agent))
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from rich.table import Table

    from .testing.simulate import cast_of, policies, simulate_votes

    rows = _cast_file(options.file) if options.file else []
    cast = cast_of(
        [*rows, *(dict(_input(word, "each word of --voter") for word in words.split()) for words in options.voter)]
    )
    compare = policies(options.cost_false_accept, options.cost_false_reject, options.good)
    table = Table("policy", "accuracy", "false accepts", "false rejects")
    for found in simulate_votes(cast, compare, past=options.past, good=options.good, seed=options.seed):
        table.add_row(found.policy, *(f"{share:.3f}" for share in found[1:]))
    _console().print(table)
    return 0


def _cast_file(file: str) -> list[Any]:
    """The voters that a file describes."""
    import yaml

    try:
        data = yaml.safe_load(Path(file).read_text("utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is neither YAML nor JSON: {error}") from error
    rows = data.get("voters") if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise HexdagError(f"{file} has no list of voters: - {{name: ann, right: 0.8}}")
    return rows


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
