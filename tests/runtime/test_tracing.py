"""A run as OpenTelemetry spans, read with the SDK's exporter in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hexdag_lab as hx
from tests.runtime.kit import open_gate, pass_gate, until


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def load() -> int:
    return 1


def fit(load: int, gate: str) -> int:
    pass_gate(gate)
    return load + 1


def about(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("hexdag."): value for name, value in (span.attributes or {}).items()}


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


def changed_run(lab: hx.Lab, gate: Path, trace: Any = None) -> hx.Run:
    """load -> fit, to which the critic's node is added; `trace` is called with the run at once."""
    lab.add_agent(hx.Agent("critic", vote=lambda context: True))
    run = lab.start(hx.Dag.of(load, hx.NodeSpec("fit", fit, params={"gate": str(gate)})), run_id="traced")
    if trace is not None:
        trace(run)
    p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda fit: fit)), reason="deeper")
    p.wait(20)
    open_gate(gate)
    run.wait(20)
    return run


@pytest.mark.parametrize("when", ["while it goes on", "after its end"])
def test_run_nodes_proposals_and_votes_are_spans_with_the_times_of_their_events(
    when: str, exporter: InMemorySpanExporter, provider: TracerProvider, tmp_path: Path
) -> None:
    with hx.Lab(pool="inline", store="memory://", owner="dana", policy=hx.Majority()) as lab:
        live = when == "while it goes on"
        lab_run = changed_run(lab, tmp_path / "gate", (lambda run: run.trace(provider)) if live else None)
        if not live:
            lab_run.trace(provider)
        until(lambda: any(span.name == "run traced" for span in exporter.get_finished_spans()))
        events = {event.kind: event for event in lab_run.events()}
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"run traced", "node load", "node fit", "node more", "proposal add_node", "vote critic"}
    root = spans["run traced"]
    assert (root.parent, about(root)["state"], about(root)["nodes"]) == (None, "SUCCEEDED", 2)
    assert root.start_time == int(events["RunStarted"].at * 1e9)
    assert root.end_time == int(events["RunFinished"].at * 1e9)
    parents = {name: span.parent and span.parent.span_id for name, span in spans.items()}
    assert parents["node load"] == parents["proposal add_node"] == root.context.span_id
    assert parents["vote critic"] == spans["proposal add_node"].context.span_id
    assert (
        about(spans["node fit"]).items()
        >= {"node": "fit", "attempt": 1, "worker": "inline", "state": "SUCCEEDED"}.items()
    )
    assert about(spans["proposal add_node"]).items() >= {"by": "dana", "state": "APPLIED", "reason": "deeper"}.items()
    assert about(spans["vote critic"])["choice"] == "approve"


def test_a_failed_attempt_is_an_error_and_each_attempt_a_span_of_its_own(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    def broken() -> None:
        raise ValueError("no disk")

    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("broken", broken, retries=1, backoff=0)))
        with pytest.raises(hx.RunFailed):
            run.wait(20)
        run.trace(provider)
    spans = [span for span in exporter.get_finished_spans() if span.name == "node broken"]
    assert [(about(span)["attempt"], about(span)["state"]) for span in spans] == [(1, "READY"), (2, "FAILED")]
    assert all(not span.status.is_ok and "no disk" in str(span.status.description) for span in spans)
    assert not named(exporter, f"run {run.id}").status.is_ok


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(load))
        run.wait(20)
        with pytest.raises(hx.HexdagError, match=r"pip install 'hexdag-lab\[otel\]'"):
            run.trace()
