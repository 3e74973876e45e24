"""`hexdag-lab doctor`: each thing that a lab needs, and a fix for what lacks."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.cli import doctor
from tests.cli.conftest import Shell, shell

__all__ = ["shell"]  # the fixture


def test_where_all_is_well_it_says_so_and_makes_nothing(shell: Shell) -> None:
    text = shell("doctor", "--port", "0")
    assert "all is well" in text
    assert "fault" not in text
    assert "there is no lab in sqlite:///.hexdag/lab.db yet" in " ".join(text.split())
    assert list(shell.home.iterdir()) == []


def test_a_lab_that_is_led_is_looked_at_and_not_disturbed(shell: Shell) -> None:
    with hx.Lab(pool="inline", store=f"sqlite:///{shell.home}/.hexdag/lab.db") as lab:
        text = " ".join(shell("doctor", "--port", "0").split())
        assert f":{os.getpid()}:" in text
        assert "survives a killed process and a power cut" in text
        assert lab.leads


def test_a_key_that_others_can_read_has_its_fix(shell: Shell) -> None:
    key = shell.home / ".hexdag" / "key"
    with hx.Lab(pool="inline", store=f"sqlite:///{shell.home}/.hexdag/lab.db"):
        pass
    key.chmod(0o644)
    text = " ".join(shell("doctor", "--port", "0", code=1).split())
    assert f"chmod 600 {key}" in text
    assert "1 to mend" in text
    assert stat.S_IMODE(key.stat().st_mode) == 0o644  # it looks, and changes nothing


def test_a_taken_port_has_its_fix(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        text = " ".join(shell("doctor", "--port", port, code=1).split())
    assert f"port {port}, where the dashboard would be, cannot be had" in text
    assert "hexdag-lab serve --port 0" in text


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("redis://127.0.0.1:1", "start its server or mend its address"),
        ("oracle://host", "there is no store for 'oracle://host'"),
        ("sqlite://x.db", "too few slashes"),
    ],
)
def test_a_store_that_cannot_be_had_has_its_fix(shell: Shell, store: str, words: str) -> None:
    assert words in " ".join(shell("doctor", "--port", "0", "--store", store, code=1).split())


def test_a_package_that_is_too_old_or_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "panel":
            return "0.1"
        if name == "rich":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = next(iter(doctor._packages()))
    assert found.found == f"panel 0.1 is not {'>=1.8'}; rich is not installed"
    assert found.fix.endswith("-m pip install --upgrade hexdag-lab")


def test_an_extra_that_is_not_there_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    extras = {finding.what: finding for finding in doctor._packages()}
    assert not extras["extra redis"].fix
    assert "pip install 'hexdag-lab[redis]'" in extras["extra redis"].found


def test_a_scheduler_that_is_not_there_has_its_fix(shell: Shell) -> None:
    text = " ".join(shell("doctor", "--port", "0", "--pool", "tcp://127.0.0.1:1", code=1).split())
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in text


@pytest.mark.dask
def test_workers_are_compared_with_this_process(shell: Shell, tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        text = " ".join(shell("doctor", "--port", "0", "--pool", cluster.scheduler_address).split())
    assert "has the same versions as this process" in text


def test_versions_that_differ_are_named_with_both_sides() -> None:
    ours = {"Python": "3.12", "dask": "2026.8.0"}
    found = doctor._compared("tcp://w:1", {"Python": "3.11", "dask": "2026.8.0"}, ours)
    assert found.found == "tcp://w:1: Python 3.11, here 3.12"
    assert found.fix


def test_it_needs_no_screen_no_cluster_and_no_browser() -> None:
    code = "import sys, hexdag_lab.cli.doctor; print({'panel', 'distributed', 'playwright'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
