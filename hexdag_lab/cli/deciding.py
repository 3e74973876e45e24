"""Commands about decisions: `vote`, `judge`, `trust`, `simulate-votes`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..core.base.errors import HexdagError
from .commands import Commands, given, screen, watched

VOTER = 'one more, or several: "right=0.6 count=4 name=bot trust=0.5 family=gpt together=0.8"; repeatable'


def add(commands: Commands) -> None:
    """Add them to the parser."""
    vote = commands.add(
        "vote", _vote, "vote on a proposal: approve, reject, abstain or request_changes", "proposal", "choice"
    )
    vote.add_argument("--reason", default="", help="why")
    vote.add_argument("--by", default=None, help="who votes; default: your login name")
    vote.add_argument(
        "--key", default=None, metavar="FILE", help="sign with this key; default: the lab's for that agent"
    )
    judge = commands.add("judge", _judge, "say how a decided proposal turned out, or would have", "proposal")
    judge.add_argument("turned", choices=["good", "bad"])
    judge.add_argument("--reason", default="", help="why")
    judge.add_argument("--by", default=None, help="who says so; default: your login name")
    commands.add("trust", _trust, "what an agent has earned, with the evidence", "agent")
    simulate = commands.add(
        "simulate-votes", _simulate, "how often which policy is right, for voters that you describe"
    )
    simulate.add_argument("file", nargs="?", help="YAML or JSON: a list of voters, as in --voter")
    simulate.add_argument("--voter", action="append", default=[], metavar="WORDS", help=VOTER)
    simulate.add_argument("--past", type=int, default=100, help="proposals with a known outcome; default: %(default)s")
    simulate.add_argument("--good", type=float, default=0.5, help="share of good proposals; default: %(default)s")
    simulate.add_argument("--cost-false-accept", type=float, default=1, metavar="COST", help="default: %(default)s")
    simulate.add_argument("--cost-false-reject", type=float, default=1, metavar="COST", help="default: %(default)s")
    simulate.add_argument("--seed", type=int, default=0, help="of what is left to chance; default: %(default)s")


def _vote(options: argparse.Namespace) -> int:
    with watched(options.store) as lab:
        if options.key:
            lab.keys.hold(options.by or lab.owner.id, options.key)
        lab.vote(options.proposal, options.by or lab.owner, options.choice, options.reason, via="key")
        proposal = lab.proposal(options.proposal)
        print(f"{proposal.id}: {proposal.state}, {proposal.tally}")
    return 0


def _judge(options: argparse.Namespace) -> int:
    with watched(options.store) as lab:
        lab.judge(options.proposal, options.turned == "good", options.by or lab.owner, options.reason)
        print(f"{options.proposal}: {lab.proposal(options.proposal).judged}")
    return 0


def _trust(options: argparse.Namespace) -> int:
    with watched(options.store) as lab:
        print(lab.trust(options.agent))
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from rich.table import Table

    from ..testing.simulate import cast_of, policies, simulate_votes

    rows = _cast_file(options.file) if options.file else []
    cast = cast_of(
        [*rows, *(dict(given(word, "each word of --voter") for word in words.split()) for words in options.voter)]
    )
    compare = policies(options.cost_false_accept, options.cost_false_reject, options.good)
    table = Table("policy", "accuracy", "false accepts", "false rejects")
    for found in simulate_votes(cast, compare, past=options.past, good=options.good, seed=options.seed):
        table.add_row(found.policy, *(f"{share:.3f}" for share in found[1:]))
    screen().print(table)
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
