"""A node that waits for a decision holds nothing: no slot, no process. It goes on when there is one, days later too."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import hexdag_lab as hx
from tests.runtime.kit import executions, until

POOLS = ["inline", pytest.param("dask", marks=[pytest.mark.dask, pytest.mark.slow])]
SCRIPT = """
    import sys
    import hexdag_lab as hx
    from tests.runtime.kit import ran

    pool, url, witness = sys.argv[1:]


    def asks(witness):
        ctx = hx.context()
        ran(witness, "asks")
        if ctx.restored is None:
            ctx.checkpoint({"rows": 12})
        more = hx.NodeSpec("more", lambda asks: asks + "!").after("asks")
        decision = ctx.wait_for(ctx.propose(hx.Changeset.on(ctx.dag).add_node(more), "there is more", key="more"))
        return f"{decision} after {ctx.restored['rows']} rows"


    def other(witness):
        ran(witness, "other")


    if __name__ == "__main__":
        from hexdag_lab.runtime.pools.inline import InlinePool
        slots = InlinePool(1) if pool == "inline" else pool
        lab = hx.Lab(pool=slots, store=url, workers=1, owner="marie", policy="solo")
        nodes = [hx.NodeSpec(fn.__name__, fn, params={"witness": witness}) for fn in (asks, other)]
        run = lab.start(hx.Dag.of(*nodes), run_id="asks")
        try:
            run.wait()
        except hx.WouldBlock:
            pass
        import threading
        threading.Event().wait()
"""


@pytest.mark.parametrize("pool", POOLS)
def test_it_goes_on_in_another_process_with_the_decision_and_what_it_had_saved(pool: str, tmp_path: Path) -> None:
    url, witness, script = f"sqlite:///{tmp_path}/lab.db", tmp_path / "witness", tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    first = subprocess.Popen([sys.executable, script, pool, url, str(witness)], env=path)
    try:
        # with one slot, the other node can only run because the one that waits has given its own back
        until(lambda: executions(witness) == {"asks": 1, "other": 1}, "both have run once")
        with hx.Lab(store=url, owner="marie") as watching:  # the first process leads: this one only looks
            until(lambda: watching.attach("asks").nodes["asks"].state == "SUSPENDED", "it waits")
    finally:
        first.kill()
        first.wait()
    with hx.Lab(pool=pool, store=url, workers=1, owner="marie") as lab:
        run = lab.attach("asks")
        assert run.nodes["asks"].state == "SUSPENDED"
        why = run.why("asks")
        assert why is not None
        assert "asks/asks-more" in why
        assert "marie" in why
        run.proposal("asks/asks-more").vote("marie", "approve", reason="yes")
        results = run.wait(60)
    assert results["more"] == "APPLIED after 12 rows!"
    assert executions(witness) == {"asks": 2, "other": 1}
