"""What the browser asks of the Jupyter server, for whoever is logged in there.

GET  hexdag-lab/state?after=TAG    labs with their runs and open proposals; waits for news
POST hexdag-lab/vote               {"lab", "proposal", "choice", "reason", "seen"}
GET  hexdag-lab/dashboard?lab=ID   {"url"}: the dashboard, as that user
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from .doors import DoorError, Doors

PATIENCE = 20.0  #: seconds that a question for news stays unanswered at most
WORDS = ("proposal", "choice", "reason", "seen")


def routes(base: str, doors: Doors) -> list[Any]:
    """The handlers below a server's base URL."""
    handlers = {"state": _State, "vote": _Vote, "dashboard": _Dashboard}
    return [(url_path_join(base, "hexdag-lab", name), handler, {"doors": doors}) for name, handler in handlers.items()]


class _Handler(APIHandler):
    def initialize(self, doors: Doors) -> None:
        self.doors = doors

    def agent(self) -> str:
        """Who the user is in a lab; "": the lab's owner.

        Where the server knows only its one token or password, whoever has it is the user whose process it is. Where it
        knows users by name, as behind JupyterHub, that name is the agent."""
        if type(self.identity_provider) in (IdentityProvider, PasswordIdentityProvider):
            return ""
        return str(self.current_user.username)

    def tell(self, data: Any, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(data))

    def refuse(self, error: DoorError) -> None:
        self.tell({"error": error.error, "fix": error.fix}, error.status if 400 <= error.status < 600 else 503)


class _State(_Handler):
    @authenticated
    async def get(self) -> None:
        self.tell(await self.doors.news(self.agent(), self.get_query_argument("after", ""), PATIENCE))


class _Vote(_Handler):
    @authenticated
    async def post(self) -> None:
        try:
            asked = self.get_json_body() or {}
            body = {word: str(asked.get(word, "")) for word in WORDS}
            door = await self.doors.door(str(asked.get("lab", "")), self.agent())
            self.tell(await door.ask("/api/vote", body))
        except DoorError as error:
            self.refuse(error)


class _Dashboard(_Handler):
    @authenticated
    async def get(self) -> None:
        try:
            door = await self.doors.door(self.get_query_argument("lab", ""), self.agent())
            self.tell({"url": self._reached(await door.opened())})
        except DoorError as error:
            self.refuse(error)

    def _reached(self, address: str) -> str:
        """By way of this server where it can hand on ports, since the browser may sit elsewhere; else straight."""
        if find_spec("jupyter_server_proxy") is None:
            return address
        parts = urlsplit(address)
        return url_path_join(self.base_url, "proxy", str(parts.port), f"/?{parts.query}")
