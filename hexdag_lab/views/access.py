"""Who a session is, and by which proof: a token in its address, a login, or nobody; and what Panel's server has to be
told so that people can log in.

A login counts as the agent of that name only where the lab's owner has written down who may log in (a file of names and
passwords). Where anybody with an account somewhere can log in, as with OAuth, names prove nothing here: `logins` says
which login is which agent, and everybody else looks on.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from .visit import Identity

GUEST = "guest"  #: what Panel calls a session that may look without a login


class Access(NamedTuple):
    """Who may act. `tokens`: token -> agent; `logins`: login -> agent, None where a login is the agent's name;
    `open_logins`: anybody with an account elsewhere can log in."""

    tokens: Mapping[str, str]
    logins: Mapping[str, str] | None = None
    open_logins: bool = False

    def identity(self, arguments: Mapping[str, list[bytes]], user: str | None) -> Identity | None:
        """Who a session is, by the arguments of its address and by its login."""
        given = arguments.get("token", [])
        for token, agent in self.tokens.items():
            if any(secrets.compare_digest(token.encode(), value) for value in given):
                return Identity(agent, "token")
        if not user or user == GUEST:
            return None
        if self.logins is not None:
            return Identity(self.logins[user], "login") if user in self.logins else None
        return None if self.open_logins else Identity(user, "login")


def tokens_for(*agents: str) -> dict[str, str]:
    """A fresh token for each agent: token -> agent id."""
    return {secrets.token_urlsafe(24): agent for agent in agents}


def logins_of(pairs: list[str]) -> dict[str, str] | None:
    """Logins from "LOGIN=AGENT" texts; None for none. Raises ValueError."""
    found = {}
    for pair in pairs:
        login, equals, agent = pair.rpartition("=")
        if not equals or not login or not agent:
            raise ValueError(f"--login is LOGIN=AGENT, such as marie@example.org=marie, not {pair!r}")
        found[login] = agent
    return found or None


def server_options(
    basic_auth: str | None = None, oauth_provider: str | None = None, cookie_secret: str | None = None, **oauth: Any
) -> dict[str, Any]:
    """What Panel's server is given for logins; `oauth`: key, secret, extra_params, … as Panel has them, without the
    "oauth_" before. Secrets are taken from Panel's own variables (PANEL_OAUTH_KEY, …) where they are not given."""
    if basic_auth and oauth_provider:
        raise ValueError("people log in by --basic-auth or by --oauth-provider, not by both")
    if not basic_auth and not oauth_provider:
        return {}
    secret = cookie_secret or os.environ.get("PANEL_COOKIE_SECRET") or secrets.token_urlsafe(32)
    found: dict[str, Any] = {"cookie_secret": secret}
    if basic_auth:
        return found | {"basic_auth": basic_auth}
    given = {f"oauth_{key}": value for key, value in oauth.items() if value is not None}
    return found | {"oauth_provider": oauth_provider, **given}


def hub_prefix() -> str:
    """The path under which a server of this process is reached through JupyterHub; empty where there is no hub."""
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    return f"{prefix.rstrip('/')}/proxy/" if prefix else ""
