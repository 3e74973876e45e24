"""A real Chromium, and labs, dashboards and Jupyter servers in processes of their own, on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.views import dashboard
from tests.runtime.kit import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")  # not longer: while playwright is there, its event loop is this thread's running one
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


class Pages:
    """Opens pages, and remembers every request and every error in them."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.requests: list[str] = []
        self.errors: list[str] = []

    def open(self, url: str, **options: Any) -> Any:
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self._contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(url)
        return page

    def foreign(self) -> list[str]:
        """Requests to any other host."""
        local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(local)]

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def pages(browser: Any) -> Iterator[Pages]:
    found = Pages(browser)
    yield found
    found.close()


def packed(package: str, file: str, home: Path) -> str:
    """The text of a file of an npm package, fetched now; skips the test that asks if that cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"no npm here, by which {package} is fetched")
    done = subprocess.run(
        [npm, "pack", package, "--silent", "--pack-destination", str(home)],
        cwd=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    name = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    if done.returncode or not (home / name).is_file():
        pytest.skip(f"npm could not fetch {package}: {(done.stderr or done.stdout).strip()[-200:]}")
    with tarfile.open(home / name) as archive:
        member = archive.extractfile(f"package/{file}")
        assert member is not None
        return member.read().decode()


class Serving:
    """A lab of this process whose dashboard is served from a thread of its own."""

    def __init__(self, lab: Any, tokens: Mapping[str, str], **options: Any) -> None:
        ready = threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(asyncio.new_event_loop())
            self.server = dashboard.serve(lab, tokens, **options)
            self.server.start()
            self.loop = self.server.io_loop.asyncio_loop
            ready.set()
            self.server.io_loop.start()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert ready.wait(30)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/"

    def close(self) -> None:
        self.server.io_loop.add_callback(self.server.io_loop.stop)
        self._thread.join(20)
        self.server.stop()


Start = Callable[..., "Process"]


class Process:
    """A child process and the lines that it prints."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        self._log = cwd / f"process-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.child = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def line(self, word: str, timeout: float = 60) -> str:
        """The first line with a word in it, as soon as it is there."""
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            for line in self.text().splitlines():
                if word in line:
                    return line
            if self.child.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"no line with {word!r} within {timeout} s; it printed:\n{self.text()[-3000:]}")

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(10)

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command in the test's directory; it is ended with the test."""
    started: list[Process] = []

    def start_one(*command: str, **variables: str) -> Process:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        process = Process(list(command), tmp_path, {**os.environ, "PATH": path, **variables})
        started.append(process)
        return process

    yield start_one
    for process in reversed(started):
        process.stop()


def lab_script(start: Start, directory: Path, *arguments: str) -> Process:
    """The lab of `lab_script.py`, in a process of its own in a test's directory."""
    shutil.copy(Path(__file__).parent / "lab_script.py", directory / "lab_script.py")
    return start(sys.executable, "lab_script.py", *arguments)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
        return free


@pytest.fixture
def address(lab: Process, start: Start) -> str:
    """The dashboard's address with the owner's token; each file has a `lab` of its own."""
    return dashboard_of(start)


def dashboard_of(start: Start) -> str:
    """Serve the lab in the test's directory; the address with the owner's token."""
    served = start("hexdag-lab", "serve", "--port", "0")
    match = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", served.line("token="))
    assert match, served.text()
    return match.group()


def without_token(address: str) -> str:
    return address.partition("?")[0]


def tab(page: Any, name: str) -> None:
    page.locator(".bk-tab", has_text=re.compile(rf"^{name}$")).click()


def open_proposals(page: Any) -> None:
    page.get_by_text("1 open proposal").first.wait_for(timeout=30_000)
    tab(page, "Proposals")


def computed(element: Any, style: str) -> str:
    """A computed style. What is replaced in the moment of the question has none: then what follows it is asked."""
    found: str = until(lambda: element.evaluate("(e, style) => getComputedStyle(e)[style]", style))
    return found


def approve_button(page: Any) -> Any:
    return page.get_by_role("button", name="Approve").locator("visible=true").first
