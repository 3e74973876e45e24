"""`hexdag-lab simulate-votes`, `judge` and `trust`."""

from __future__ import annotations

import pytest

import hexdag_lab as hx
from tests.cli.conftest import Shell
from tests.lab import gates
from tests.lab.conftest import held, load

BOTS = "name=bot count=4 right=0.62 family=gpt together=0.8"


def test_a_cast_in_words_or_in_a_file_gives_the_same_table(shell: Shell) -> None:
    words = shell("simulate-votes", "--voter", "name=ann right=0.85 trust=1", "--voter", BOTS, "--past", "20")
    assert "false accepts" in words
    assert "log-odds, each alone" in words
    (shell.home / "cast.yaml").write_text(
        "voters:\n- {name: ann, right: 0.85, trust: 1}\n"
        "- {name: bot, count: 4, right: 0.62, family: gpt, together: 0.8}\n"
    )
    assert shell("simulate-votes", "cast.yaml", "--past", "20") == words
    (shell.home / "cast.json").write_text('[{"name": "ann", "right": 0.85, "trust": 1}]')
    assert shell("simulate-votes", "cast.json", "--voter", BOTS, "--past", "20") == words
    assert shell("simulate-votes", "cast.yaml", "--past", "20", "--seed", "1") != words
    costly = shell("simulate-votes", "cast.yaml", "--past", "20", "--cost-false-accept", "9")
    assert costly != words
    assert [path.name for path in shell.home.iterdir() if path.name.startswith(".")] == [], "and makes no lab"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "a cast has at least one voter"),
        (["--voter", "right"], "each word of --voter is NAME=VALUE, not 'right'"),
        (["--voter", "right=2"], "right is a share from 0 to 1, not 2"),
        (["nope.yaml"], "No such file or directory: 'nope.yaml'"),
        (["bad.yaml"], "bad.yaml is neither YAML nor JSON"),
        (["text.yaml"], "text.yaml has no list of voters"),
        (["--voter", "right=0.8", "--good", "1"], "prior is a share, above 0 and below 1, not 1"),
        (["--voter", "right=0.8", "--cost-false-accept", "0"], "cost_false_accept is above 0"),
    ],
)
def test_a_cast_that_cannot_be(shell: Shell, arguments: list[str], what: str) -> None:
    (shell.home / "bad.yaml").write_text("- {a: ")
    (shell.home / "text.yaml").write_text("dear friend")
    text = shell("simulate-votes", *arguments, code=2)
    assert what in text
    assert text.startswith("hexdag-lab: ")


def test_judge_and_trust_from_another_terminal(shell: Shell) -> None:
    store = f"sqlite:///{shell.home / '.hexdag' / 'lab.db'}"
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        lab.add_agent(hx.Agent("critic", vote=lambda context: False))
        run = lab.start(hx.Dag.of(load, held.after("load")), policy=hx.Majority(), run_id="r")
        gates.reached("held")
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda: 2)), by="executor")
        assert p.wait(10) == "REJECTED"
        gates.open_gate("held")
        run.wait(10)
        gates.reset()
        said = shell("judge", p.id, "bad", "--by", "dana", "--reason", "as she said")
        assert said == "r/p1: dana calls it bad: as she said\n"
        assert shell("trust", "critic") == (
            "critic 0.67 from 1 ballot\n  +1 r/p1: spoke against it, and dana calls it bad: as she said\n"
        )
        assert "'critic' is no person of this run" in shell("judge", p.id, "good", "--by", "critic", code=2)
