"""`hexdag-lab doctor`: whether this machine has what a lab needs. One line for each thing, and one fix where it lacks.

It changes nothing: no lab is made, no lead is taken, no worker is started.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError
from ..ports import Store
from ..runtime import wire
from ..runtime.stores import store_of, where
from .commands import Commands, screen

PACKAGE = "hexdag-lab"
ROOM = 2**30  #: bytes that should be free where a store of this machine lies
PATIENCE = 5.0  #: seconds for a scheduler to answer
SAME = ("dask", "distributed", "cloudpickle", "msgpack", "pydantic", "hexdag_lab")
"""The packages whose versions a worker and whoever sends it work should share."""


class Finding(NamedTuple):
    """What was looked at, and what was found. `fix` is what to do; "" where nothing has to be done."""

    what: str
    found: str
    fix: str = ""


def add(commands: Commands) -> None:
    """Add it to the parser."""
    doctor = commands.add("doctor", _doctor, "whether this machine has what a lab needs, and how to mend what it lacks")
    doctor.add_argument("--pool", default=None, metavar="ADDRESS", help="compare the workers of this scheduler, too")
    doctor.add_argument("--port", type=int, default=5006, help="where the dashboard is to be; default: %(default)s")


def _doctor(options: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    table, faults = Table.grid("", "", "", padding=(0, 2)), 0
    for what, found, fix in findings(options.store, options.pool, options.port):
        table.add_row(Text("fault", "bold red") if fix else Text("ok", "green"), what, Text(found))
        if fix:
            faults += 1
            table.add_row("", "", Text(f"to mend it: {fix}", "bold"))
    screen().print(table, f"{faults} to mend" if faults else "all is well", highlight=False)
    return 1 if faults else 0


def findings(store: str, pool: str | None, port: int) -> Iterator[Finding]:
    """All that is looked at, in this order."""
    yield _python()
    yield from _packages()
    yield _widgets()
    yield _loopback(port)
    yield from _stored(store)
    if pool is not None:
        yield from asyncio.run(_workers(pool))


def _python() -> Finding:
    from packaging.specifiers import SpecifierSet

    wanted, here = metadata.metadata(PACKAGE)["Requires-Python"], platform.python_version()
    if SpecifierSet(wanted).contains(here, prereleases=True):
        return Finding("Python", f"{here}, {sys.executable}")
    return Finding("Python", f"{here}, which is not {wanted}", f"make an environment with a Python {wanted}")


def _packages() -> Iterator[Finding]:
    """What is needed, and each extra; one that is not there is no fault."""
    lacking = list(_lacking(""))
    fix = f"{sys.executable} -m pip install --upgrade {PACKAGE}" if lacking else ""
    yield Finding("packages", "; ".join(lacking) or "all that it needs, in versions that fit", fix)
    for extra in metadata.metadata(PACKAGE).get_all("Provides-Extra") or ():
        if extra != "dev":
            text = f"not installed; if you want it: pip install '{PACKAGE}[{extra}]'"
            yield Finding(f"extra {extra}", text if list(_lacking(extra)) else "installed")


def _lacking(extra: str) -> Iterator[str]:
    """The requirements of an extra, "" for those without, that are not met here."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, metadata.requires(PACKAGE) or ()):
        marker = requirement.marker
        wanted = marker is None or marker.evaluate({"extra": extra})
        if not wanted or (extra and (marker is None or marker.evaluate({"extra": ""}))):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"{requirement.name} is not installed"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} is not {requirement.specifier}"


def _widgets() -> Finding:
    """JupyterLab draws widgets only if the files of their extensions are where it looks."""
    from jupyter_core.paths import jupyter_path

    places = [Path(path) for path in jupyter_path("labextensions")]
    wanted = {"@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets", "anywidget": "anywidget"}
    lacking = [pip for name, pip in wanted.items() if not any((place / name).is_dir() for place in places)]
    if not lacking:
        return Finding("widgets", "JupyterLab has what draws them")
    text = f"JupyterLab does not see the extension of {' and '.join(lacking)}, so graphs in cells stay pictures"
    command = f"{sys.executable} -m pip install --force-reinstall {' '.join(lacking)}"
    return Finding("widgets", text, f"{command}, in the environment that JupyterLab runs in")


def _loopback(port: int) -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except OSError as error:
        text = f"nothing can listen on 127.0.0.1 ({error.strerror})"
        return Finding("loopback", text, "workers, dashboard and notebooks need it: allow it in this container")
    try:
        with socket.create_server(("127.0.0.1", port)):
            return Finding("ports", f"127.0.0.1 has free ones, {port} for the dashboard among them")
    except OSError as error:
        text = f"port {port}, where the dashboard would be, cannot be had ({error.strerror})"
        return Finding("ports", text, "hexdag-lab serve --port 0 takes a free one")


def _stored(url: str) -> Iterator[Finding]:
    """The store, and what lies beside it."""
    try:
        store = store_of(url)
    except (HexdagError, ValueError) as error:
        yield Finding("store", str(error), "say another --store, or install what this one needs")
        return
    beside = Path(".hexdag").absolute()
    if url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        beside = file.absolute().parent
        yield _room(beside)
        if not file.exists():
            yield Finding("store", f"there is no lab in {url} yet; the first run makes it")
            return
    yield asyncio.run(_opened(store, where(url)))
    yield _key(beside / "key")


def _room(directory: Path) -> Finding:
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    fix = "" if free >= ROOM else "make room, or say another --store"
    return Finding("disk", f"{free / 2**30:.1f} GiB free in {directory}", fix)


async def _opened(store: Store, name: str) -> Finding:
    try:
        await store.open()
        try:
            leader = await store.holder(wire.LEADER)
        finally:
            await store.close()
    except (HexdagError, OSError) as error:
        return Finding("store", f"{name}: {error}", "start its server or mend its address; runs in it are not lost")
    led = f"led by {leader}" if leader else "led by nobody now"
    return Finding("store", f"{name}, {led}; what it acknowledged survives {store.durability.words}")


def _key(file: Path) -> Finding:
    """Whoever can read the key can sign in the lab's name."""
    if not file.exists():
        return Finding("key", f"there is none in {file.parent} yet; the first lab makes it")
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("key", f"{file} can be read by others (mode {mode:04o})", f"chmod 600 {file}")
    return Finding("key", f"{file}, for its owner only")


async def _workers(address: str) -> list[Finding]:
    """Whether the scheduler answers, and how its workers' versions differ from ours."""
    from distributed import Client

    try:
        async with asyncio.timeout(2 * PATIENCE):
            async with Client(address, asynchronous=True, timeout=PATIENCE, set_as_default=False) as client:
                versions = await client.get_versions(packages=list(SAME))
    except (OSError, TimeoutError, ValueError) as error:
        text = f"no Dask scheduler answers at {address} ({str(error) or type(error).__name__})"
        return [Finding("workers", text, "start one with `dask scheduler`, or mend the address")]
    if not versions["workers"]:
        return [Finding("workers", f"{address} has none", f"dask worker {address}")]
    return [_compared(name, _plain(data), _plain(versions["client"])) for name, data in versions["workers"].items()]


def _plain(data: Any) -> dict[str, str]:
    python = str(data["host"]["python"]).split(".")
    return {"Python": ".".join(python[:2]), **{name: str(data["packages"].get(name)) for name in SAME}}


def _compared(worker: str, theirs: dict[str, str], ours: dict[str, str]) -> Finding:
    other = [f"{name} {theirs[name]}, here {ours[name]}" for name in ours if theirs[name] != ours[name]]
    if not other:
        return Finding("workers", f"{worker} has the same versions as this process")
    return Finding("workers", f"{worker}: {'; '.join(other)}", "install the same versions on both sides")
