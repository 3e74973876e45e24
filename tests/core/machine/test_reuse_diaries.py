"""Results that are used again, told as lab diaries: what is looked up, what comes of it, and why a node has to run.

The test is the store: it answers what the core looks up from what the core let it index.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.core.base.codec import loads
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.evolve import evolve
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.runs.reuse import Found, Made, Recipe
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.core.votes.people import OwnerDecides
from tests.core.machine.diary import Diary, graph, result, spec, text

CACHED = {"cache": True}
ONLY_IN_POOL = Kept("pickle", 9, "", None, "", "pool")


class Store(Diary):
    """A diary with an index of results, as a store keeps it. `given`: what other runs left there."""

    def __init__(self, dag: Dag | str, given: dict[str, Made] | None = None, run: str = "r", **start: Any) -> None:
        super().__init__(dag, OwnerDecides(), **start)
        self.run, self.index = run, dict(given or {})
        self.last: dict[str, tuple[Recipe, str]] = {}

    def open(self, slots: int = 2, lookahead: int = 0, **options: Any) -> None:
        self.start(slots, lookahead, **options)
        self.serve()

    def serve(self) -> None:
        """Write and look up, until nothing more is asked."""
        while self.effects:
            effects, self.effects = self.effects, []
            for effect in effects:
                if isinstance(effect, ef.Index):
                    kept = self.events[effect.seq - 1].result
                    self.last[effect.node] = (effect.recipe, self.run)
                    self.index[effect.key] = Made(self.run, effect.node, effect.version, effect.seconds, kept)
                if isinstance(effect, ef.LookUp):
                    self.answer(effect.sought)

    def answer(self, sought: Any) -> None:
        self.send(ms.LookedUp(self.now, tuple(self.find(*pair) for pair in sought)))

    def find(self, node: str, key: str) -> Found:
        made = self.index.get(key)
        return Found(node, key, made) if made else Found(node, key, None, *self.last.get(node, (None, "")))

    def does(self, *nodes: str) -> None:
        for node in nodes:
            self.runs(node)
            self.serve()

    def changes(self, id_: str, change: Changeset) -> None:
        self.propose(id_, change)
        self.serve()

    def asked(self) -> list[tuple[str, str]]:
        """What is looked up just now."""
        return [pair for effect in self.effects if isinstance(effect, ef.LookUp) for pair in effect.sought]

    def why_run(self, node: str) -> str:
        return self.state.nodes[node].reuse.why


def chain(**options: Any) -> Dag:
    """load > clean > fit, all cached."""
    given = {name: {**CACHED, **options.get(name, {})} for name in ("load", "clean", "fit")}
    return graph("load > clean > fit", **given)


def finished() -> Store:
    lab = Store(chain())
    lab.open()
    lab.does("load", "clean", "fit")
    lab.told()
    return lab


def rerun(lab: Diary, name: str, revision: str, **options: Any) -> Changeset:
    return lab.change().replace_node(name, spec(name, revision, **{**CACHED, **options}), finished="rerun")


# -- hits


def busy(text: str = "load > clean > fit, load > slow") -> Store:
    """load, clean and fit have finished; slow runs, so that the run goes on."""
    lab = Store(graph(text, load=CACHED, clean=CACHED, fit=CACHED))
    lab.open(3)
    lab.does("load", "clean", "fit")
    lab.begins("slow")
    lab.told()
    return lab


def test_a_rerun_that_gives_an_equal_result_stops_the_wave() -> None:
    lab = busy("load > clean > fit, slow")
    lab.changes("p1", rerun(lab, "load", "2"))
    assert lab.states() == {"load": "READY", "clean": "WAITING", "fit": "WAITING", "slow": "RUNNING"}
    lab.does("load")
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  v2 by ada: ~1 node, re-runs clean, fit, load
           0  load: re-run: its code changed
           0  submitted load#2
           0  load started on w1
           0  load succeeded in 1.50 s
           0  clean reused from v1: same code, same inputs
           0  fit reused from v1: same code, same inputs
    """)
    assert why(lab.state, "fit") == "reused from v1: same code, same inputs"
    assert lab.state.nodes["fit"].fence == 1, "no further attempt was made"


def test_code_that_comes_back_finds_what_it_made() -> None:
    lab = busy("load > clean > fit, slow")
    first = lab.state.dag.nodes["fit"]
    lab.changes("p1", rerun(lab, "fit", "2"))
    lab.does("fit")
    lab.changes("p2", lab.change().replace_node("fit", first, finished="rerun"))
    assert lab.states()["fit"] == "SUCCEEDED"
    assert why(lab.state, "fit") == "reused from v1: same code, same inputs"


def test_another_run_of_the_same_store_is_used_again_whole() -> None:
    before = finished()
    lab = Store(chain(), before.index, run="next")
    lab.open(run="next")
    assert set(lab.states().values()) == {"SUCCEEDED"}
    assert lab.state.status == "SUCCEEDED"
    assert {why(lab.state, name) for name in lab.state.dag} == {"reused from r: same code, same inputs"}
    assert not any(isinstance(effect, ef.Submit) for effect in lab.effects)
    assert lab.state.spent() == 0


def test_another_node_of_the_same_code_is_named() -> None:
    lab = busy("load > clean > fit, slow")
    twin = lab.state.dag.nodes["load"].but(name="twin")
    lab.changes("p1", lab.change().add_node(twin))
    assert why(lab.state, "twin") == "reused from v1 of load: same code, same inputs"


def test_without_the_capability_a_result_can_still_be_used() -> None:
    dag = graph("load", load={"cache": True, "requires": {"gpu"}})
    before = Store(dag)
    before.open()
    before.does("load")
    lab = Store(dag, before.index)
    lab.start(slots=1, run="next")
    lab.pool(1, 0, {"cpu"})
    lab.serve()
    assert lab.states() == {"load": "SUCCEEDED"}


# -- misses, and why


def test_a_first_run_says_that_there_is_nothing() -> None:
    lab = finished()
    assert {lab.why_run(name) for name in lab.state.dag} == {"no cached result"}


def test_only_who_asks_for_it_is_looked_up() -> None:
    lab = Store(graph("load > fit", fit={"cache": True}))
    lab.start(slots=2)
    assert lab.asked() == []
    lab.runs("load")
    assert [node for node, _ in lab.asked()] == ["fit"]
    assert lab.why_run("load") == ""


def test_a_miss_names_what_has_changed() -> None:
    lab = busy("load > clean > fit, slow")
    lab.changes("p1", rerun(lab, "clean", "2", params={"depth": 4}))
    assert lab.why_run("clean") == "re-run: its code changed; params changed: depth"
    lab.begins("clean")
    lab.send(ms.Succeeded(lab.now, "clean", lab.fence("clean", None), 1.0, result("other")))
    lab.serve()
    assert lab.why_run("fit") == "re-run: upstream clean changed"
    assert lab.states()["fit"] == "READY"


def test_in_another_run_it_names_what_differs_from_there() -> None:
    before = finished()
    lab = Store(chain(load={"params": {"rows": 4}}), before.index, run="next")
    lab.last = before.last
    lab.open(run="next")
    assert lab.why_run("load") == "not as in r: params changed: rows"


def test_a_model_that_changes_is_a_change() -> None:
    from pydantic import BaseModel

    class Row(BaseModel):
        x: int

    lab = busy("load > clean > fit, slow")
    node = lab.state.dag.nodes["fit"].but(out_model=Row)
    lab.changes("p1", lab.change().replace_node("fit", node, finished="rerun"))
    assert lab.why_run("fit") == "re-run: its models changed"


def test_inputs_of_the_run_count_by_value() -> None:
    dag = Dag.of(spec("load", "1", "path", cache=True))
    given = Kept("json", 3, "a" * 64, b'"a"')
    before = Store(dag)
    before.open(inputs=FrozenDict({"path": given}))
    before.does("load")
    same, other = Store(dag, before.index), Store(dag, before.index)
    same.open(inputs=FrozenDict({"path": given}), run="same")
    other.open(inputs=FrozenDict({"path": given._replace(sha256="b" * 64)}), run="other")
    assert (same.states(), other.states()) == ({"load": "SUCCEEDED"}, {"load": "READY"})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"effects": True}, "never reused: it acts on the outside world"),
        ({"requires": {"llm"}}, "never reused: it asks a language model"),
    ],
)
def test_some_are_never_used_again_and_say_why(options: dict[str, Any], reason: str) -> None:
    lab = Store(graph("load", load={"cache": True, **options}))
    lab.open()
    assert lab.why_run("load") == reason
    lab.does("load")
    assert lab.index == {}


def test_what_is_only_in_the_pool_has_no_digest_yet() -> None:
    lab = Store(graph("load > fit", load=CACHED, fit=CACHED))
    lab.open()
    lab.begins("load")
    lab.send(ms.Succeeded(lab.now, "load", 1, 1.0, ONLY_IN_POOL))
    lab.serve()
    assert lab.index == {}
    assert lab.why_run("fit") == "its input load has no digest yet"


def test_what_is_kept_later_can_be_found_and_what_was_made_of_it() -> None:
    lab = Store(graph("load > fit", load=CACHED, fit=CACHED))
    lab.open()
    lab.begins("load")
    lab.send(ms.Succeeded(lab.now, "load", 1, 1.0, ONLY_IN_POOL))
    lab.serve()
    lab.does("fit")
    assert lab.index == {}
    lab.send(ms.ResultKept(lab.now, "load", 1, result("load", "blob")))
    lab.serve()
    assert sorted(made.node for made in lab.index.values()) == ["fit", "load"]
    later = Store(lab.dag, lab.index)
    later.open(run="later")
    assert set(later.states().values()) == {"SUCCEEDED"}


def test_what_a_decision_went_into_is_not_found_by_others() -> None:
    lab = Store(graph("ask, slow", ask=CACHED))
    lab.open()
    lab.begins("ask")
    lab.suspends("ask", "nothing")
    lab.serve()
    lab.does("ask")
    assert lab.states()["ask"] == "SUCCEEDED"
    assert lab.index == {}


def test_an_order_only_upstream_that_acts_on_the_world_is_another_each_run() -> None:
    one = spec("one", "1", cache=True).but(code=Dag.of(lambda_free("one")).nodes["one"].code)
    dag = Dag.of(spec("mail", effects=True), one.after("mail"))
    before = Store(dag)
    before.open()
    before.does("mail", "one")
    lab = Store(dag, before.index)
    lab.open(run="next")
    lab.does("mail")
    assert lab.states()["one"] == "READY"


def lambda_free(name: str) -> Any:
    """A node that takes nothing: all its upstreams only come before."""
    from hexdag_lab.core.dag.code import Code
    from hexdag_lab.core.dag.node import NodeSpec

    return NodeSpec(name, code=Code(name, "test", name.encode().ljust(32, b"-")))


# -- journals of before


def test_a_journal_that_knows_nothing_of_this_is_gone_on_with() -> None:
    """Written when `cache` meant nothing yet, and was True where nothing was said; its digests are those of today."""
    rows = (Path(__file__).parent / "journal_of_before.jsonl").read_bytes().splitlines()
    events = [loads(row) for row in rows]
    lab = Diary(events[0].dag, OwnerDecides())
    for event in events:
        lab.state = evolve(lab.state, event)
    assert lab.states() == {
        "load": "SUCCEEDED", "check": "READY", "fit": "READY", "report": "WAITING", "more": "WAITING"
    }  # fmt: skip
    assert [version.digest.hex()[:8] for version in lab.state.versions][1] == "f6fe4ab8"
    lab.events = events
    lab.crash()
    lab.pool(2)
    lab.runs("fit", "check", "more", "report")
    assert lab.state.status == "SUCCEEDED"
    assert not any(rec.reuse.why or rec.reuse.origin for rec in lab.state.nodes.values())


# -- the order of things


def test_nothing_is_submitted_while_it_is_looked_up() -> None:
    lab = Store(chain())
    lab.start(slots=2, lookahead=4)
    assert lab.in_pool() == []
    assert [node for node, _ in lab.asked()] == ["load"]
    lab.pool(3, 4)
    assert [node for node, _ in lab.asked()] == ["load"], "it is asked once"
    lab.serve()
    assert lab.in_pool() == ["load#1"]
    assert lab.asked() == [], "what is below waits for the value"


def test_an_answer_to_another_question_changes_nothing() -> None:
    lab = Store(chain())
    lab.start()
    ((node, key),) = lab.asked()
    made = Made("r", node, 1, 1.0, result(node))
    for stale in (Found(node, "0" * 64, made), Found("ghost", key, made), Found("fit", key, made)):
        lab.send(ms.LookedUp(lab.now, (stale,)))
    assert lab.states()["load"] == "READY"
    lab.serve()
    assert lab.in_pool() == ["load#1"]
    lab.send(ms.LookedUp(lab.now, (Found(node, key, made),)))
    assert lab.in_pool() == ["load#1"], "said twice"


def test_an_answer_that_comes_after_a_change_is_not_used() -> None:
    lab = Store(graph("load, slow", load=CACHED))
    lab.start(slots=2)
    (question,) = lab.asked()
    lab.effects.clear()
    lab.propose("p1", lab.change().replace_node("load", spec("load", "2", cache=True)))
    lab.send(ms.LookedUp(lab.now, (Found(*question, Made("r", "load", 1, 1.0, result("load"))),)))
    assert lab.states()["load"] == "READY"
    lab.serve()
    assert lab.why_run("load") == "no cached result"


def test_a_new_controller_asks_again() -> None:
    lab = Store(chain())
    lab.start()
    first = lab.asked()
    lab.effects.clear()
    lab.crash()
    lab.pool(1)
    assert lab.asked() == first
    lab.serve()
    assert lab.in_pool() == ["load#1"]


def test_a_result_that_was_used_again_survives_a_crash_and_late_reports() -> None:
    lab = busy("load > clean > fit, slow")
    lab.changes("p1", rerun(lab, "load", "2"))
    lab.does("load")
    lab.crash()
    lab.succeeds("fit", fence=1)
    lab.loses("fit", fence=1)
    lab.send(ms.ResultKept(lab.now, "fit", 1, result("other", "blob")))
    rec = lab.state.nodes["fit"]
    assert (rec.state, rec.result) == ("SUCCEEDED", result("fit"))


def test_a_retry_is_not_looked_up_again() -> None:
    lab = Store(graph("load", load={"cache": True, "retries": 1, "backoff": 0}))
    lab.open()
    lab.begins("load")
    lab.fails("load")
    assert lab.asked() == []
    assert lab.in_pool() == ["load#2"]


def test_a_result_of_old_code_is_not_found_under_the_new() -> None:
    """running="finish_old": the attempt ends on the old code, though the graph has the new one."""
    lab = Store(graph("load, slow", load=CACHED))
    lab.open()
    lab.begins("load")
    old = lab.state.dag
    lab.changes("p1", lab.change().replace_node("load", spec("load", "2", cache=True), running="finish_old"))
    lab.succeeds("load")
    lab.serve()
    with_new, with_old = Store(lab.state.dag, lab.index), Store(old, lab.index)
    with_new.open(run="new")
    with_old.open(run="old")
    assert (with_new.states()["load"], with_old.states()["load"]) == ("READY", "SUCCEEDED")


def test_a_paused_run_takes_what_is_found_and_submits_nothing() -> None:
    lab = Store(chain(), finished().index)
    lab.start()
    lab.send(ms.Pause(lab.now, "ada"))
    lab.serve()
    assert lab.states() == {"load": "SUCCEEDED", "clean": "READY", "fit": "WAITING"}
    lab.send(ms.Resume(lab.now, "ada"))
    lab.serve()
    assert lab.state.status == "SUCCEEDED"


def test_a_cancelled_run_takes_nothing_more() -> None:
    lab = Store(chain(), finished().index)
    lab.start()
    lab.cancel("ada")
    lab.serve()
    assert lab.states()["load"] == "CANCELLED"


def test_in_waves_it_is_the_same() -> None:
    lab = Store(chain(), finished().index)
    lab.open(schedule="waves", run="next")
    assert lab.state.status == "SUCCEEDED"
