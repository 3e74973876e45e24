"""Nodes that are critical sections: what they claim, when they run, and why they wait."""

from __future__ import annotations

from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.why import why
from tests.core.machine.diary import Diary, graph


def lab_of(text: str = "load, fit") -> Diary:
    """Both nodes need the lease "db"; the first claims are in the journal."""
    lab = Diary(graph(text, load={"exclusive": "db"}, fit={"exclusive": "db"}))
    lab.start(slots=2)
    return lab


def taken(lab: Diary, node: str) -> None:
    lab.send(ms.LeaseTaken(lab.now, node, lab.state.claims[node].seq))


def submitted(lab: Diary) -> set[str]:
    return {name for name, rec in lab.state.nodes.items() if rec.submitted}


def test_a_node_runs_only_when_its_lease_is_held() -> None:
    lab = lab_of()
    assert submitted(lab) == set()
    assert why(lab.state, "fit") == "waits for the lease 'db'"
    taken(lab, "fit")
    assert submitted(lab) == {"fit"}


def test_a_node_that_waits_says_for_whom() -> None:
    lab = lab_of()
    lab.send(ms.LeaseBusy(lab.now, "fit", lab.state.claims["fit"].seq, "r2/load of lathe"))
    assert why(lab.state, "fit") == "waits for the lease 'db', which r2/load of lathe holds"


def test_a_claim_ends_with_its_attempt_however_that_ends() -> None:
    for end in ("succeeds", "fails"):
        lab = lab_of()
        taken(lab, "fit")
        getattr(lab, end)("fit")
        assert "fit" not in lab.state.claims
    lab = lab_of()
    taken(lab, "fit")
    lab.cancel("bob")
    assert lab.state.claims == {}


def test_an_attempt_that_is_tried_again_claims_anew() -> None:
    lab = lab_of()
    taken(lab, "fit")
    first = lab.state.claims["fit"]
    lab.send(ms.Lost(lab.now, "fit", lab.state.nodes["fit"].fence, "its worker died"))
    assert lab.state.claims["fit"].seq > first.seq
    lab.send(ms.LeaseTaken(lab.now, "fit", first.seq))
    assert not lab.state.claims["fit"].held, "an answer to the claim before does not count"
    assert submitted(lab) == set()


def test_a_result_after_the_lease_was_lost_does_not_count() -> None:
    lab = lab_of()
    taken(lab, "fit")
    fence = lab.state.nodes["fit"].fence
    lab.send(ms.LeaseLost(lab.now, "fit", lab.state.claims["fit"].seq))
    assert ef.Recall((("fit", fence),)) in lab.effects
    assert lab.state.nodes["fit"].why == "the lease 'db' was lost while it ran, so its result does not count"
    assert lab.state.nodes["fit"].result is None


def test_a_run_that_is_paused_claims_only_for_what_runs() -> None:
    lab = lab_of()
    taken(lab, "fit")
    lab.send(ms.Pause(lab.now, "ada"))
    assert set(lab.state.claims) == {"fit"}
    lab.send(ms.Resume(lab.now, "ada"))
    assert set(lab.state.claims) == {"fit", "load"}


def test_a_node_with_a_lease_is_not_chained_to_its_upstreams() -> None:
    lab = Diary(graph("load > fit", fit={"exclusive": "db"}))
    lab.start(slots=1)
    assert (submitted(lab), lab.state.claims) == ({"load"}, {})
    lab.succeeds("load")
    assert set(lab.state.claims) == {"fit"}


def test_another_controller_claims_anew() -> None:
    lab = lab_of()
    taken(lab, "fit")
    lab.crash()
    assert set(lab.state.claims) == {"fit", "load"}
    assert not any(claim.held for claim in lab.state.claims.values())


def test_a_change_of_the_lease_claims_the_other_one() -> None:
    lab = lab_of()
    spec = lab.state.dag.nodes["fit"].but(exclusive="gpu")
    lab.propose("p1", Changeset.on(lab.state.dag).replace_node("fit", spec))
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    assert lab.state.claims["fit"].name == "gpu"
