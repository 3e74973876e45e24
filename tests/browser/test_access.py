"""Logging in for real: by name and password, through another host's OAuth; and who may talk to the server at all."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from .conftest import Pages, Process, Start, approve_button, lab_script, open_proposals, without_token

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab whose run waits for a decision on one proposal."""
    process = lab_script(start, tmp_path, "9", "marie")
    process.line("ready")
    return process


def served(start: Start, *options: str, **variables: str) -> str:
    process = start("hexdag-lab", "serve", "--port", "0", "--agent", "marie", *options, **variables)
    match = re.search(r"http://127\.0\.0\.1:\d+/", process.line("token="))
    assert match
    return match.group()


def test_a_password_makes_a_session_vote_under_its_name(
    lab: Process, start: Start, pages: Pages, tmp_path: Path
) -> None:
    (tmp_path / "users.json").write_text(json.dumps({"marie": "her password"}))
    page = pages.open(served(start, "--basic-auth", "users.json"))
    page.locator("input[name=username]").fill("marie")
    page.locator("input[name=password]").fill("her password")
    page.locator("input[type=submit], button[type=submit]").first.click()
    page.get_by_text("You are marie (login)").wait_for(timeout=60_000)
    open_proposals(page)
    approve_button(page).click()
    assert "True APPLIED" in lab.line("ended")
    assert "('marie', 'login')" in lab.line("ended")


class Provider(BaseHTTPRequestHandler):
    """Another host where anybody may have an account: the least that an OAuth provider says."""

    user = "stranger"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/authorize":
            asked = parse_qs(url.query)
            back = urlencode({"code": "c0de", "state": asked["state"][0]})
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri'][0]}?{back}")
            self.end_headers()
        else:
            self.tell({"email": self.user})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.tell({"access_token": "t0ken", "token_type": "bearer"})

    def tell(self, data: dict[str, str]) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("user", "who"),
    [("m@example.org", "You are marie (login)"), ("marie", "nobody: you can look, not vote")],
    ids=["one who is named", "one who only has the name"],
)
def test_of_those_who_log_in_elsewhere_only_they_vote_whom_the_owner_has_named(
    lab: Process, start: Start, pages: Pages, provider: str, user: str, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Provider, "user", user)
    address = served(
        start, "--oauth-provider", "generic", "--oauth-key", "id", "--oauth-secret", "s3cret",
        "--login", "m@example.org=marie",
        PANEL_OAUTH_AUTHORIZE_URL=f"{provider}/authorize", PANEL_OAUTH_TOKEN_URL=f"{provider}/token",
        PANEL_OAUTH_USER_URL=f"{provider}/user",
    )  # fmt: skip
    page = pages.open(address)
    page.get_by_text(who).wait_for(timeout=60_000)


def test_a_page_of_another_host_cannot_talk_to_the_server(lab: Process, address: str) -> None:
    async def talk(origin: str) -> int:
        url = without_token(address).replace("http://", "ws://") + "ws"
        try:
            connection = await websocket_connect(HTTPRequest(url, headers={"Origin": origin}), subprotocols=["bokeh"])
        except HTTPClientError as error:
            return error.code
        connection.close()
        return 101

    async def both() -> tuple[int, int]:
        return await talk("http://evil.example"), await talk(without_token(address).rstrip("/"))

    with ThreadPoolExecutor() as aside:  # playwright has an event loop in this thread
        foreign, own = aside.submit(asyncio.run, both()).result(30)
    assert foreign == 403
    assert own == 101


def test_keys_decide_in_at_most_three(lab: Process, start: Start, pages: Pages) -> None:
    process = start("hexdag-lab", "serve", "--port", "0", "--agent", "marie")
    match = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.line("token="))
    assert match
    page = pages.open(match.group())
    approve_button(page).wait_for(timeout=60_000)
    keys = page.get_by_role("checkbox").first
    keys.uncheck()
    page.locator("body").press("a")
    page.wait_for_timeout(500)
    assert lab.child.poll() is None, "turned off, keys do nothing"
    keys.check()
    page.keyboard.press("r")
    page.keyboard.type("not worth the time")
    page.keyboard.press("Enter")
    assert "False REJECTED" in lab.line("ended")
    page.get_by_text("not worth the time").locator("visible=true").first.wait_for(timeout=15_000)
