"""A lab in real kernels, of ipykernel 7 and 6: waiting, busy cells and clicks, interrupts, a restart, two notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .kernels import SIX, Kernel

VERSIONS = [pytest.param(7, id="ipykernel7"), pytest.param(6, id="ipykernel6", marks=pytest.mark.slow)]
OPEN = """
import time, hexdag_lab as hx
from pathlib import Path
lab = hx.Lab(pool={pool!r}, store={store!r}, owner="dana")
%load_ext hexdag_lab
def first():
    return 1
def held(first):
    while not Path("go").exists():
        time.sleep(0.01)
    return first + 1
def slow(context):
    time.sleep(60)
"""
START = 'run = lab.start(hx.Dag.of(first, held), run_id="r")'
PROPOSE = """
lab.add_agent(hx.Agent("critic"))
p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", first)), by="critic", reason="one more look")
run
"""
NEW_CODE = "%%node\ndef held(first):\n    return 7"
BUSY = """
print("busy")
while p.state == "OPEN" and not Path("enough").exists():
    pass
print("ended with", p.state)
"""


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    """The ipykernel that kernels have."""
    if request.param == 6 and not SIX.exists():
        pytest.skip("ipykernel 6 is not here: sh .ci/ipykernel-6")
    version: int = request.param
    return version


@pytest.fixture(scope="module")
def long_lived(version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    made = Kernel(tmp_path_factory.mktemp("notebook"), six=version == 6)
    yield made
    made.close()


@pytest.fixture
def kernel(long_lived: Kernel) -> Iterator[Kernel]:
    """A kernel with a lab in memory, which is another one for each test."""
    yield _opened(long_lived)
    long_lived.run("lab.close()")
    for file in ("go", "enough"):
        (long_lived.folder / file).unlink(missing_ok=True)


@pytest.fixture
def notebooks(version: int, tmp_path: Path) -> Iterator[Callable[[], Kernel]]:
    """Kernels in one folder, whose labs have one store."""
    made = []

    def open_one() -> Kernel:
        made.append(Kernel(tmp_path, six=version == 6))
        return _opened(made[-1], "sqlite:///.hexdag/lab.db")

    yield open_one
    for kernel in made:
        kernel.close()


def _opened(kernel: Kernel, store: str = "memory://", pool: str = "inline") -> Kernel:
    kernel.run(OPEN.format(store=store, pool=pool))
    kernel.widgets.clear()
    return kernel


def test_it_is_the_ipykernel_that_is_meant(long_lived: Kernel, version: int) -> None:
    assert long_lived.run("import ipykernel; print(ipykernel.version_info[0])").text == f"{version}\n"


# -- waiting


def test_runs_and_proposals_are_waited_for_plainly_and_with_await(kernel: Kernel) -> None:
    kernel.run(START + "\np = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec('more', first)))")
    assert kernel.run("print(p.wait(20), await p)").text == "APPLIED APPLIED\n"
    (kernel.folder / "go").touch()
    assert kernel.run("print(run.wait(20) == await run, run.result('held'))").text == "True 2\n"


def test_a_cell_that_only_a_person_could_end_is_refused_and_one_that_others_can_end_waits(
    kernel: Kernel, version: int
) -> None:
    kernel.run(START + PROPOSE)
    (kernel.folder / "go").touch()
    assert kernel.fails("run.wait()").startswith("WouldBlock: only a person can decide now (dana)")
    waiting = kernel.start("print(await p)")
    if version == 6:  # it hears no button while the cell awaits
        assert "decide before the next cell" in kernel.ended(waiting).error
    kernel.click("Approve")
    if version == 7:
        assert kernel.ended(waiting).text == "APPLIED\n"
    assert kernel.run("print(await p)").text == "APPLIED\n"


def test_a_task_beside_a_cell_waits_for_a_person_in_any_kernel(kernel: Kernel) -> None:
    kernel.run(START + PROPOSE)
    kernel.run("import asyncio\nasync def told():\n    return str(await p)\ntask = asyncio.create_task(told())")
    kernel.click("Approve")
    assert kernel.run("print(await task)").text == "APPLIED\n"


# -- busy cells


def test_a_click_counts_while_a_cell_never_gives_way_and_the_page_shows_it(kernel: Kernel, version: int) -> None:
    kernel.run(START + PROPOSE)
    subshell = kernel.subshell() if version == 7 else None
    busy = kernel.start(BUSY)
    kernel.until(lambda: busy.text == "busy\n")
    kernel.click("Approve", subshell)
    if version == 6:
        assert kernel.reads("hears a button only when no cell runs")
        (kernel.folder / "enough").touch()
        assert kernel.ended(busy).text.endswith("ended with OPEN\n")
        assert kernel.run("print(await p)").text == "APPLIED\n"  # the click came first
    assert kernel.ended(busy).text.startswith("busy\nended with")
    kernel.until(lambda: kernel.reads("v2"), "the page shows the new version")


def test_what_a_cell_shows_of_a_run_is_live_while_another_cell_is_busy(kernel: Kernel) -> None:
    kernel.run(START + "\nrun")
    busy = kernel.start("print('busy')\nwhile not Path('enough').exists():\n    pass")
    kernel.until(lambda: busy.text == "busy\n" and kernel.reads("1/2 nodes"))
    (kernel.folder / "go").touch()
    kernel.until(lambda: kernel.reads("2/2 nodes"), "what it shows goes on")
    assert not busy.ended
    (kernel.folder / "enough").touch()
    kernel.ended(busy)


# -- interrupts


@pytest.mark.parametrize(
    "waits",
    ["run.wait()", "await run", "p.wait()", "while True:\n    get_ipython().run_line_magic('lab', '')"],
    ids=["wait", "await", "a proposal", "the magic"],
)
def test_an_interrupted_cell_leaves_lab_and_run_as_they_were(kernel: Kernel, waits: str) -> None:
    kernel.run("lab.policy = hx.Unanimous()\nlab.add_agent(hx.Agent('slow', vote=slow))\n" + START + PROPOSE)
    cell = kernel.start(f"print('waits')\n{waits}")
    kernel.until(lambda: cell.text.startswith("waits\n"))
    kernel.interrupt()
    assert kernel.ended(cell).error.split(":")[0] in ("KeyboardInterrupt", "CancelledError")
    assert "r            v1  1/2  RUNNING, 1 open" in kernel.run("%lab").text
    (kernel.folder / "go").touch()
    kernel.run("p.vote('dana', 'approve')\np.vote('slow', 'approve')")
    assert kernel.run("print(run.wait(20)['held'], await p)").text == "2 APPLIED\n"


@pytest.mark.slow
@pytest.mark.dask
def test_an_interrupt_reaches_no_worker(kernel: Kernel) -> None:
    kernel.run("lab.close()")
    _opened(kernel, pool="dask")
    kernel.run("run = lab.start(hx.Dag.of(first, held), run_id='r')")
    kernel.until(lambda: "RUNNING" in kernel.run("print(run.nodes['held'].state)").text)
    cell = kernel.start("print('waits')\nrun.wait()")
    kernel.until(lambda: cell.text == "waits\n")
    kernel.interrupt()
    assert kernel.ended(cell).error.startswith("KeyboardInterrupt")
    (kernel.folder / "go").touch()
    assert kernel.run("print(run.wait(30)['held'], run.nodes['held'].attempt)").text == "2 1\n"


# -- more than one process


@pytest.mark.slow
def test_after_a_restart_the_run_is_attached_and_goes_on(notebooks: Callable[[], Kernel]) -> None:
    kernel = notebooks()
    kernel.run(START + PROPOSE)
    kernel.until(lambda: "RUNNING" in kernel.run("print(run.nodes['held'].state)").text)
    kernel.restart()
    _opened(kernel, "sqlite:///.hexdag/lab.db")
    kernel.run("run = lab.attach('r')\nrun")
    assert "run.reload(held) proposes it" in kernel.run(NEW_CODE).text
    kernel.click("Approve")
    (kernel.folder / "go").touch()
    results = kernel.run("print(await run)\nprint([v.by for v in run.versions])")
    assert results.text == "{'first': 1, 'held': 2, 'more': 1}\n['dana', 'critic']\n"


@pytest.mark.slow
def test_of_two_notebooks_on_one_lab_each_sees_what_the_other_decides(notebooks: Callable[[], Kernel]) -> None:
    one, other = notebooks(), notebooks()
    one.run(START + PROPOSE)
    other.run("run = lab.attach('r')\nrun")
    assert "run.reload(held) proposes it" in other.run(NEW_CODE).text
    assert other.run("print(lab.leads, [str(p.id) for p in lab.inbox()])").text == "False ['r/p1']\n"
    other.click("Approve")
    one.until(lambda: one.reads("v2") and not one.button("Edit first"), "the first shows what the second decided")
    assert one.run("print(p.state, [b.voter for b in p.tally.ballots])").text == "APPLIED ['dana']\n"
    change = "hx.Changeset.on(run.dag).add_node(hx.NodeSpec('last', first))"
    one.run(f"q = run.propose({change}, by='critic', reason='the last one')")
    for notebook in (other, one):
        notebook.until(lambda notebook=notebook: notebook.reads("the last one") and notebook.button("Edit first"))
    one.click("Reject")
    other.until(lambda: not other.button("Edit first"), "the second shows what the first decided")
    (one.folder / "go").touch()
    assert other.run("print(sorted(await run))").text == "['first', 'held', 'more']\n"


# -- what is saved


def test_what_is_saved_of_a_run_has_a_picture_and_words_for_whoever_opens_it_later(kernel: Kernel) -> None:
    kernel.run(START + "\nwhile run.nodes['first'].state != 'SUCCEEDED':\n    time.sleep(0.01)")
    shown: dict[str, Any] = kernel.run(PROPOSE).shown
    assert shown["text/plain"] == "<Run r: RUNNING, v1, 1/2 nodes>"
    assert "one more look" not in shown["text/plain"]
    assert shown["image/svg+xml"].startswith("<svg")
