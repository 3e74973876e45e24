"""The JupyterLab extension as a package: what is committed is what its sources make, and what labs it finds."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

import hexdag_lab as hx
from tests.runtime.kit import until

EXTENSION = Path(__file__).parents[2] / "extensions" / "jupyterlab"
sys.path.insert(0, str(EXTENSION))

from hexdag_jupyterlab.doors import DoorError, Doors  # noqa: E402
from hexdag_jupyterlab.labs import live_labs  # noqa: E402


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where leaders leave their files: a folder of the test's own."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path / "runtime" / "hexdag-lab"


def leads(tmp_path: Path) -> hx.Lab:
    return hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/notes/lab.db", owner="dana")


# -- what is committed


def test_what_is_committed_is_what_the_sources_make() -> None:
    done = subprocess.run(
        [sys.executable, EXTENSION / "build.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_wheel_has_all_that_jupyter_looks_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(EXTENSION)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        data = {name.partition(".data/data/")[2]: name for name in archive.namelist()}
        package = json.loads(archive.read(data["share/jupyter/labextensions/hexdag-lab/package.json"]))
        assert f"share/jupyter/labextensions/hexdag-lab/{package['jupyterlab']['_build']['load']}" in data
        config = json.loads(archive.read(data["etc/jupyter/jupyter_server_config.d/hexdag_jupyterlab.json"]))
    assert config == {"ServerApp": {"jpserver_extensions": {"hexdag_jupyterlab": True}}}


# -- finding labs


def test_a_lab_that_is_led_here_is_found_with_where_and_how_it_opens_until_it_is_closed(
    tmp_path: Path, runtime: Path
) -> None:
    with leads(tmp_path):
        (lab,) = live_labs()
        assert (lab.owner, lab.pid, lab.python, lab.name) == ("dana", os.getpid(), sys.executable, "notes")
        assert lab.store == f"sqlite:///{tmp_path}/notes/lab.db"
        (file,) = runtime.iterdir()
        assert (file.stat().st_mode & 0o777, runtime.stat().st_mode & 0o777) == (0o600, 0o700)
    assert live_labs() == []
    assert list(runtime.iterdir()) == []


def test_a_lab_in_memory_and_one_that_only_watches_are_no_business_of_others(tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store="memory://"), hx.Lab(store=f"sqlite:///{tmp_path}/lab.db", leader=False):
        assert live_labs() == []


def test_where_no_file_can_be_left_a_lab_works_as_well(tmp_path: Path) -> None:
    (tmp_path / "runtime").write_text("a file, where the folder would be")
    with leads(tmp_path) as lab:
        assert lab.leads


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`hexdag-lab up` or `standby` for the lab of `leads`, as processes that end with the test."""
    started = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        store = f"sqlite:///{tmp_path}/notes/lab.db"
        command = [sys.executable, "-m", "hexdag_lab", "--store", store, *words, "--pool", "inline", "--owner", "dana"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_service_says_so_as_well_and_so_does_the_standby_that_takes_its_place(
    tmp_path: Path, runtime: Path, service: Callable[..., subprocess.Popen[bytes]]
) -> None:
    up = service("up")
    until(lambda: [(lab.pid, lab.owner, lab.name) for lab in live_labs()] == [(up.pid, "dana", "notes")])
    assert [file.stat().st_mode & 0o777 for file in runtime.iterdir()] == [0o600]
    standby = service("standby")
    up.kill()
    up.wait()
    until(lambda: [lab.pid for lab in live_labs()] == [standby.pid])
    standby.terminate()
    assert standby.wait(20) == 0
    assert list(runtime.iterdir()) == []


def test_the_process_that_a_notebook_has_started_to_lead_is_found_with_the_notebooks_owner(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/notes/lab.db"
    with hx.Lab(pool="inline", store=store, owner="dana", controller="process"):
        (lab,) = live_labs()
        assert (lab.owner, lab.pid == os.getpid()) == ("dana", False)
        os.kill(lab.pid, signal.SIGTERM)
        until(lambda: not live_labs())


@pytest.mark.parametrize("fault", ["gone", "readable", "broken", "another version"])
def test_a_file_that_cannot_be_believed_is_not(tmp_path: Path, runtime: Path, fault: str) -> None:
    with leads(tmp_path):
        (file,) = runtime.iterdir()
        about = json.loads(file.read_text())
        other = runtime / "other.json"
        other.touch(0o600)
        if fault == "gone":
            child = subprocess.Popen([sys.executable, "-c", ""])
            child.wait()
            about["pid"] = child.pid
        if fault == "another version":
            about["more"] = 1
        other.write_text("{" if fault == "broken" else json.dumps({**about, "store": "sqlite:////tmp/other.db"}))
        if fault == "readable":
            other.chmod(0o644)
        assert [lab.store for lab in live_labs()] == [about["store"]]
        assert other.exists() == (fault != "gone")  # what a dead leader has left is taken away


# -- doors


def through(work: Any) -> Any:
    """What `work(doors)` gives, with doors; they are closed after it."""

    async def inside() -> Any:
        doors = Doors(logging.getLogger(__name__))
        try:
            return await work(doors)
        finally:
            await doors.close()

    return asyncio.run(inside())


@hx.node
def one() -> int:
    return 1


def test_a_door_shows_the_runs_of_a_lab_and_closes_with_it(tmp_path: Path) -> None:
    async def work(doors: Doors) -> Any:
        with leads(tmp_path) as lab:
            await asyncio.to_thread(lab.start(hx.Dag.of(one), run_id="r").wait, 30)
            state = await doors.news("", "", 0)
            while not (state["labs"] and state["labs"][0]["runs"]):
                state = await doors.news("", state["tag"], 30)
        seen = state["labs"][0]
        while state["labs"]:
            state = await doors.news("", state["tag"], 30)
        return seen

    seen = through(work)
    assert (seen["agent"], seen["problem"]) == ("dana", "")
    assert [(run["id"], run["status"]) for run in seen["runs"]] == [("r", "SUCCEEDED")]
    assert "store" not in seen  # it may hold a password


def test_a_lab_that_is_not_there_is_said_to_be_so() -> None:
    async def work(doors: Doors) -> None:
        await doors.door("nothing", "dana")

    with pytest.raises(DoorError, match="no lab 'nothing' here now"):
        through(work)


def test_a_door_that_does_not_open_says_what_its_process_said(tmp_path: Path, runtime: Path) -> None:
    with leads(tmp_path):
        (file,) = runtime.iterdir()
        file.write_text(json.dumps({**json.loads(file.read_text()), "store": "oracle://host"}))

        async def work(doors: Doors) -> str:
            state = await doors.news("", "", 0)
            while not (state["labs"] and state["labs"][0]["problem"]):
                state = await doors.news("", state["tag"], 30)
            return str(state["labs"][0]["problem"])

        assert "there is no store for 'oracle://host'" in through(work)


# -- who votes

NAMED = """
from jupyter_server.auth import IdentityProvider, User


class Named(IdentityProvider):  # as JupyterHub's does, it knows users by name
    def get_user(self, handler):
        return User(username="marie")
"""


@pytest.mark.slow
def test_whoever_is_logged_in_votes_as_the_agent_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "named.py").write_text(NAMED)
    (tmp_path / "here").mkdir()
    config = {"JUPYTER_CONFIG_PATH": str(EXTENSION / "data" / "etc" / "jupyter"), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    paths = {"PYTHONPATH": os.pathsep.join([str(EXTENSION), str(tmp_path), *sys.path])}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
        "--ServerApp.identity_provider_class=named.Named", "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={tmp_path / 'here'}",
    ]  # fmt: skip
    server = subprocess.Popen(command, env={**os.environ, **config, **paths}, stderr=subprocess.DEVNULL)
    try:
        with leads(tmp_path) as lab:
            lab.add_agent(hx.HumanAgent("marie"))
            lab.add_agent(hx.Agent("critic"))
            run = lab.start(hx.Dag.of(hx.NodeSpec("one", one, requires={"gpu"})), policy=hx.HumanApproval())  # waits
            p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", one)), by="critic")
            seen = until(lambda: asked(port, "state"), seconds=60)
            while not (seen["labs"] and seen["labs"][0]["inbox"]):
                seen = asked(port, f"state?after={seen['tag']}")
            (there,) = seen["labs"]
            assert there["agent"] == "marie"
            assert asked(port, "vote", {"lab": there["id"], "proposal": p.id, "choice": "approve", "reason": "fine"})
            until(lambda: p.state == "APPLIED")
            assert [(b.voter, b.reason, b.via) for b in p.tally.ballots] == [("marie", "fine", "token")]
    finally:
        server.terminate()
        server.wait(20)


def asked(port: int, path: str, body: Any = None) -> Any:
    """What the Jupyter server answers to its browser; None while there is no server yet."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(f"http://127.0.0.1:{port}/hexdag-lab/{path}", data, timeout=60) as response:
            return json.load(response)
    except HTTPError as error:
        raise AssertionError(error.read().decode()) from error
    except URLError:
        return None
