"""The dashboard behind a real JupyterHub: its proxy, its login, a user's own server, in which a person types commands
in a terminal. The hub's proxy is fetched by npm when this runs, and is no part of the package.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket

from tests.servers import free_ports

from .conftest import Pages, Process, Start, approve_button, open_proposals

pytest.importorskip("jupyterhub", reason="no jupyterhub here: it is in the extra dev")
pytest.importorskip("jupyter_server_proxy", reason="no jupyter-server-proxy here: it is in the extra dev")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROXY = "configurable-http-proxy@5.3.0"
PASSWORD, TOKEN = "a password for all", "0123456789abcdef0123456789abcdef"
CONFIG = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = [{node!r}, {proxy!r}]
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--KernelManager.shutdown_wait_time=1"]
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "access:servers"]}}
]
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Node, and the hub's proxy as a script of its."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm here, by which the hub's proxy is fetched")
    home = tmp_path_factory.mktemp("proxy")
    done = subprocess.run(
        [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PROXY],
        cwd=home, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    script = home / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    if not script.exists():
        pytest.skip(f"npm could not fetch {PROXY}: {(done.stderr or done.stdout).strip()[-200:]}")
    return node, str(script)


@pytest.fixture
def hub(proxy: tuple[str, str], start: Start, tmp_path: Path) -> Iterator[str]:
    """The address of a hub in which every name may log in, and has a server of its own."""
    public, hub, api = free_ports(3)
    (tmp_path / "marie").mkdir()
    shutil.copy(Path(__file__).parent / "lab_script.py", tmp_path / "marie" / "lab_script.py")
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(
        CONFIG.format(
            public=public, hub=hub, api=api, node=proxy[0], proxy=proxy[1], password=PASSWORD, token=TOKEN,
            homes=str(tmp_path), python=sys.executable,
        )
    )  # fmt: skip
    root = str(Path(__file__).parents[2])
    process = start(sys.executable, "-m", "jupyterhub", "-f", str(config), PYTHONPATH=root)
    process.line("JupyterHub is now running", timeout=60)
    yield f"http://127.0.0.1:{public}"
    end(process)


def end(hub: Process) -> None:
    """A hub ends its proxy and its users' servers, for which it takes its time."""
    hub.child.terminate()
    hub.child.wait(60)


class Terminal:
    """A terminal in a user's server: what somebody types there, and reads."""

    def __init__(self, hub: str, user: str) -> None:
        headers = {"Authorization": f"token {TOKEN}"}
        made = httpx.post(f"{hub}/user/{user}/api/terminals", headers=headers, timeout=30).raise_for_status().json()
        url = f"{hub}/user/{user}/terminals/websocket/{made['name']}".replace("http", "ws", 1)
        self._socket = websocket.create_connection(url, header=headers, timeout=60)
        self._read = ""

    def type(self, command: str) -> None:
        self._socket.send(json.dumps(["stdin", f"stty cols 300; {command}\r"]))

    def reads(self, pattern: str) -> re.Match[str]:
        """Wait until it says something."""
        while not (found := re.search(pattern, self._read)):
            kind, *words = json.loads(self._socket.recv())
            self._read += words[0] if kind == "stdout" else ""
        return found

    def close(self) -> None:
        self._socket.send(json.dumps(["stdin", "\x03"]))
        self._socket.close()


def log_in(page: Any, name: str) -> None:
    """Log in to the hub, and wait until the server of one's own is there."""
    page.locator("#username_input").fill(name)
    page.locator("#password_input").fill(PASSWORD)
    page.locator("#login_submit").click()
    page.wait_for_url(re.compile(f"/user/{name}/"), timeout=90_000)


def test_the_hubs_user_decides_through_the_hub_and_is_on_the_ballot_and_no_other_user_gets_there(
    hub: str, pages: Pages
) -> None:
    page = pages.open(f"{hub}/hub/login?next=/hub/spawn")
    log_in(page, "marie")
    with closing(Terminal(hub, "marie")) as lab, closing(Terminal(hub, "marie")) as dashboard:
        lab.type(f"{sys.executable} lab_script.py")
        lab.reads(r"ready run-1 run-1/p1")
        dashboard.type(f"{sys.executable} -m hexdag_lab serve --port 0")
        path = dashboard.reads(r"marie: (/user/marie/proxy/\d+/\?token=\S+)\s")[1]

        other = pages.open(f"{hub}/hub/login?next=/hub/home")
        other.locator("#username_input").fill("eve")
        other.locator("#password_input").fill(PASSWORD)
        other.locator("#login_submit").click()
        other.wait_for_url("**/hub/home")
        other.goto(hub + path)
        other.get_by_text(re.compile("403|Forbidden|permission")).first.wait_for()
        assert other.locator("canvas").count() == 0, "the address alone, with its token, does not open another's server"

        page.goto(hub + path)
        page.get_by_text("You are marie (token)").wait_for(timeout=60_000)
        open_proposals(page)
        approve_button(page).click()
        said = lab.reads(r"ended SUCCEEDED True APPLIED .*")[0]
        assert "('marie', 'token')" in said
        page.reload()
        page.get_by_text("SUCCEEDED").first.wait_for(timeout=30_000)
    assert pages.foreign() == []
