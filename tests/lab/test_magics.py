"""`%load_ext hexdag_lab` in a real IPython shell: nodes, a look at the lab, and changes that are shown before they are
proposed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import hexdag_lab as hx
from hexdag_lab.testing.endpoint import Misbehaviour, ScriptedEndpoint
from hexdag_lab.views.asking import AskWidget
from tests.runtime.kit import until

START = """
import hexdag_lab as hx, time
from pathlib import Path
lab = hx.Lab(pool="inline", store="memory://", threads=2, owner="dana")
"""
LOAD = """
def load() -> int:
    "Three rows."
    return 3
"""
HOLD = """
def hold(load) -> int:
    while not Path(gate).exists():
        time.sleep(0.02)
    return load
"""


LEADS = f"""import sys
{START.replace('"memory://"', "sys.argv[1]")}
gate = sys.argv[2]
{LOAD}{HOLD}
lab.start(hx.Dag.of(load, hold), run_id="r")
print("started", flush=True)
time.sleep(60)
"""


class Notebook:
    """Cells in one shell, and what they print."""

    def __init__(self, gate: Path, capsys: pytest.CaptureFixture[str]) -> None:
        InteractiveShell.clear_instance()
        self.shell = InteractiveShell.instance()
        self.names: dict[str, Any] = self.shell.user_ns
        self.names["gate"] = str(gate)
        self.endpoints: list[ScriptedEndpoint] = []
        self._capsys = capsys
        self.run("%load_ext hexdag_lab")

    def run(self, cell: str) -> str:
        """What a cell prints."""
        self.result = self.shell.run_cell(cell)
        return "".join(self._capsys.readouterr())

    def started(self) -> hx.Run:
        if "lab" not in self.names:
            self.run(START)
        self.run("%%node" + LOAD)
        self.run("%%node cost=0.5" + HOLD)
        self.run("run = lab.start(hx.Dag.of(load, hold))")
        run: hx.Run = self.names["run"]
        until(lambda: run.nodes["hold"].state == "RUNNING")
        return run


@pytest.fixture
def notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path / "gate", capsys)
    yield notebook
    (tmp_path / "gate").touch()
    if "lab" in notebook.names:
        notebook.names["lab"].close()
    for endpoint in notebook.endpoints:
        endpoint.close()
    InteractiveShell.clear_instance()


# -- %%node


def test_a_cell_defines_a_node_with_options_as_in_a_call(notebook: Notebook) -> None:
    notebook.run("import hexdag_lab as hx\ncards = {'gpu'}")
    notebook.run("%%node retries=2, requires=cards" + LOAD)
    load = notebook.names["load"]
    assert (load.spec.name, load.spec.retries, load.spec.requires) == ("load", 2, {"gpu"})
    assert load() == 3  # it stays callable
    assert hx.Dag.of(load).waves == (("load",),)


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("retries", LOAD, "options are written as in a call"),
        ("retries=many", LOAD, "name 'many' is not defined"),
        ("tries=2", LOAD, "tries"),
        ("", "x = 1", "the cell defines no function"),
        ("", "def load(:", "invalid syntax"),
    ],
)
def test_what_is_wrong_in_a_cell_is_told_in_a_line(notebook: Notebook, line: str, cell: str, words: str) -> None:
    shown = notebook.run(f"%%node {line}\n{cell}")
    assert words in shown + str(notebook.result.error_in_exec)
    assert not isinstance(notebook.names.get("load"), hx.Node)


def test_run_again_with_other_code_it_offers_to_reload_the_run_that_goes_on(notebook: Notebook) -> None:
    notebook.started()
    assert notebook.run("%%node" + LOAD) == ""  # the same code
    shown = notebook.run("%%node cost=0.5" + HOLD.replace("return load", "return load + 1"))
    assert shown.count("run.reload(hold) proposes it") == 1
    notebook.run("p = run.reload(hold)")
    assert notebook.names["p"].state == "APPLIED"


def test_it_offers_so_for_a_run_that_was_attached_as_well_whoever_leads_it(notebook: Notebook, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/lab.db"
    with subprocess.Popen(
        [sys.executable, "-c", LEADS, store, notebook.names["gate"]], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"started\n"
        notebook.run(f"from pathlib import Path\nimport hexdag_lab as hx, time\nlab = hx.Lab(store='{store}')")
        assert notebook.run("def hold(load): return 4") == "", "it has nothing to do with this notebook yet"
        notebook.run("run = lab.attach('r')")
        assert "run.reload(hold) proposes it" in notebook.run("def hold(load): return 4")
        other.kill()
    notebook.run("lab.close()")
    notebook.run(f"lab = hx.Lab(pool='inline', store='{store}')\nrun = lab.attach('r')")
    assert "run.reload(hold) proposes it" in notebook.run("%%node\ndef hold(load): return 5")


# -- %lab


def test_without_a_lab_it_says_how_to_open_one(notebook: Notebook) -> None:
    assert "lab = hx.Lab() opens one" in notebook.run("%lab")


def test_it_tells_runs_what_waits_and_why(notebook: Notebook) -> None:
    run = notebook.started()
    notebook.run("lab.add_agent(hx.Agent('scout', role='executor'))")
    notebook.run("p = run.propose(run.dag.add_node(hx.NodeSpec('more', load)), by='scout', reason='why not')")
    shown = notebook.run("%lab")
    assert f"{run.id:12} v1  1/2  RUNNING, 1 open" in shown
    assert f"wait for a decision: {notebook.names['p'].id}" in shown
    assert "why not" in notebook.run("%lab inbox")
    why = notebook.run("%lab why hold")
    assert f"{run.id}: hold is RUNNING" in why
    assert "hold started" in why


def test_an_unknown_word_and_an_unknown_node_are_told(notebook: Notebook) -> None:
    notebook.started()
    assert "%lab, %lab inbox or %lab why NODE" in notebook.run("%lab when")
    assert "no run of the lab has a node 'fit'" in notebook.run("%lab why fit")


# -- %%propose


def test_a_change_is_shown_and_proposed_only_when_that_is_said(notebook: Notebook) -> None:
    run = notebook.started()
    shown = notebook.run("%%propose the tail is long\nmore = hx.NodeSpec('more', load)\nchange.add_node(more)")
    assert "+ more" in shown
    assert "nothing is proposed yet" in shown
    assert not run.proposals
    notebook.run("p = run.propose(change)")
    assert (notebook.names["p"].state, notebook.names["p"].reason) == ("APPLIED", "the tail is long")


def test_with_yes_it_is_proposed_at_once(notebook: Notebook) -> None:
    run = notebook.started()
    notebook.run("lab.add_agent(hx.Agent('scout', role='executor'))")
    notebook.run("%%propose --yes --by scout\nrun.dag.add_node(hx.NodeSpec('more', load))")
    assert [(p.by, p.state) for p in run.proposals.values()] == [("scout", "OPEN")]


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("", "1 + 1", "not with a change: change.add_node(extra)"),
        ("", "x = change", "not with a change"),
        ("--loud", "change", "unrecognized arguments: --loud"),
        ("--run r9", "change", "r9"),
        ("", "change.remove_node('fit')", "fit"),
    ],
)
def test_what_is_no_change_is_told_in_a_line(notebook: Notebook, line: str, cell: str, words: str) -> None:
    run = notebook.started()
    assert words in notebook.run(f"%%propose {line}\n{cell}") + str(notebook.result.error_in_exec)
    assert not run.proposals


# -- %%propose in words


CATALOGUE = """
def clean(load: int) -> int:
    "Clean the table."
    return load
lab.catalog = hx.Catalog(clean)
"""
CLEANS = {"do": "add clean", "name": "new1", "after": ["load"], "params": {}}
WORDS = "Please clean the table\nright after load."


def change(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"reason": "it has gaps", "steps": list(steps)}


def with_a_model(notebook: Notebook, script: Any, **options: Any) -> tuple[hx.Run, ScriptedEndpoint]:
    """A run that goes on, and an agent in its lab whose model answers as scripted."""
    pytest.importorskip("pydantic_ai", reason="needs the extra llm")
    notebook.run(START + CATALOGUE)
    run = notebook.started()
    endpoint = ScriptedEndpoint(script)
    notebook.endpoints.append(endpoint)
    given = {"role": "executor", "model": "scripted", "url": endpoint.url, "votes": False, "seconds": 20, **options}
    notebook.names["lab"].add_agent(hx.LLMAgent("scout", **given))
    return run, endpoint


def test_words_become_a_change_that_is_shown_and_proposed_only_when_that_is_said(notebook: Notebook) -> None:
    run, endpoint = with_a_model(notebook, change(CLEANS), goal="a tidy table")
    shown = notebook.run(f"%%propose\n{WORDS}")
    assert "scout (scripted) makes a change of it; that takes at most 20 s" in shown
    assert "+ clean_1" in shown
    assert "nothing is proposed yet" in shown
    assert not run.proposals
    assert "What you are asked for: Please clean the table right after load." in endpoint.asked[0].prompt
    assert "Goal: a tidy table" in endpoint.asked[0].prompt
    notebook.run("p = run.propose(change)")
    p = notebook.names["p"]
    assert (p.state, p.by) == ("APPLIED", "dana")
    assert p.reason == "Please clean the table right after load. (scout: it has gaps)"
    (call,) = [event.call for event in run.events() if event.kind == "AgentCalled"]
    assert (call.purpose, call.about, call.outcome) == ("propose", "request", "answered")


def test_what_the_labs_checks_have_against_an_answer_goes_back_to_the_model(notebook: Notebook) -> None:
    answers = [change({"do": "remove_node", "name": "load"}), change(CLEANS)]
    _, endpoint = with_a_model(notebook, lambda prompt: answers.pop(0))
    assert "+ clean_1" in notebook.run(f"%%propose --ask scout\n{WORDS}")
    assert "load has finished" in endpoint.asked[1].prompt


def test_where_the_catalogue_cannot_make_it_the_model_says_what_is_missing(notebook: Notebook) -> None:
    run, _ = with_a_model(notebook, {"reason": "there is no operation that draws", "steps": []})
    assert "scout would change nothing: there is no operation that draws" in notebook.run("%%propose\nDraw it.")
    assert not run.proposals


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        (Misbehaviour(status=401), {}, "refuses the key"),
        (Misbehaviour(seconds=30), {"seconds": 0.3}, "gave no answer within 0.3 s"),
        ("no JSON at all", {}, "gave no answer of the wanted form in 3 requests"),
        (Misbehaviour(drop=True), {}, "is it running, and is that its address?"),
        (change(CLEANS), {"tokens": 10}, "its 10 tokens for this run are used up"),
    ],
    ids=["refused", "slow", "malformed", "down", "over its limit"],
)
def test_a_model_that_gives_no_change_is_told_in_a_line_with_its_cause(
    notebook: Notebook, script: Any, options: dict[str, Any], said: str
) -> None:
    run, _ = with_a_model(notebook, script, **options)
    shown = notebook.run(f"%%propose\n{WORDS}")
    assert "UsageError: %%propose: scout has made no change: " in shown
    assert said in shown
    assert "Traceback" not in shown
    assert not run.proposals
    assert run.status == "RUNNING"


def test_an_interrupted_cell_asks_no_more_and_leaves_lab_and_run_as_they_were(notebook: Notebook) -> None:
    answers: list[Any] = [change(CLEANS)]

    def script(prompt: str) -> Any:
        if len(endpoint.asked) == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return Misbehaviour(seconds=30)
        return answers.pop()

    run, endpoint = with_a_model(notebook, script)
    assert "KeyboardInterrupt" in notebook.run(f"%%propose\n{WORDS}")
    assert f"{run.id:12} v1  1/2  RUNNING" in notebook.run("%lab")
    assert "+ clean_1" in notebook.run(f"%%propose\n{WORDS}")


def test_what_others_change_while_the_model_answers_is_no_part_of_what_is_shown(notebook: Notebook) -> None:
    def script(prompt: str) -> Any:
        run.propose(run.dag.add_node(hx.NodeSpec("more", notebook.names["load"])))
        return change(CLEANS)

    run, _ = with_a_model(notebook, script)
    shown = notebook.run(f"%%propose\n{WORDS}")
    assert "+ clean_1" in shown
    assert "more" not in shown


@pytest.mark.parametrize(
    ("line", "cell", "said"),
    [
        ("", WORDS, 'lab.add_agent(hx.LLMAgent("scout", model='),
        ("--ask scout", "change", "the lab has none"),
    ],
)
def test_words_without_an_agent_that_has_a_model_are_answered_with_how_to_add_one(
    notebook: Notebook, line: str, cell: str, said: str
) -> None:
    run = notebook.started()
    assert said in notebook.run(f"%%propose {line}\n{cell}")
    assert not run.proposals


def test_who_is_asked_must_have_a_model_and_what_comes_of_words_is_never_proposed_unseen(notebook: Notebook) -> None:
    run, endpoint = with_a_model(notebook, change(CLEANS))
    assert "'dana' is no agent with a language model here; --ask scout" in notebook.run(
        "%%propose --ask dana\nTidy up."
    )
    assert "is shown before it is proposed: no --yes" in notebook.run(f"%%propose --yes\n{WORDS}")
    assert not endpoint.asked
    assert not run.proposals


@pytest.mark.parametrize("slip", ["change.add_node(more", "x = = change", "%time change +"])
def test_a_slip_in_python_is_no_request(notebook: Notebook, slip: str) -> None:
    _, endpoint = with_a_model(notebook, change(CLEANS))
    shown = notebook.run(f"%%propose\n{slip}")
    assert "SyntaxError" in shown + repr(notebook.result)
    assert not endpoint.asked


# -- the button


def test_the_button_proposes_once_and_says_what_came_of_it_or_what_is_wrong() -> None:
    answers = iter([hx.NotAllowed("not yours", rule="role", fix="ask"), 1])

    def propose() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    asked = AskWidget("what now?", propose)
    asked.yes.click()
    assert "not yours" in asked.said.value
    assert not asked.yes.disabled  # it can be tried again
    asked.yes.click()
    assert asked.proposal == 1
    assert asked.said.value == "1"
    assert asked.yes not in asked.children


def test_let_be_proposes_nothing() -> None:
    asked = AskWidget("what now?", lambda: pytest.fail("it was proposed"))
    asked.no.click()
    assert "let be" in asked.said.value


def test_time_is_not_lost_by_loading_the_package_without_them() -> None:
    import subprocess
    import sys

    code = "import sys, hexdag_lab; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
