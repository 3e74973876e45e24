"""Who a session is: a token proves it, a login only where the lab's owner has said so; everybody else looks on."""

from __future__ import annotations

import pytest

from hexdag_lab.lab.places import login
from hexdag_lab.views.access import Access, hub_prefix, logins_of, server_options, tokens_for
from hexdag_lab.views.pages import Identity

TOKENS = {"secret": "marie", "other": "lea"}


def given(token: str) -> dict[str, list[bytes]]:
    return {"token": [token.encode()]}


@pytest.mark.parametrize(
    ("access", "arguments", "user", "who"),
    [
        (Access(TOKENS), given("secret"), None, Identity("marie", "token")),
        (Access(TOKENS), given("secret"), "eve", Identity("marie", "token")),
        (Access(TOKENS), given("guess"), None, None),
        (Access(TOKENS), given(""), None, None),
        (Access(TOKENS), {"token": [b"\xff\xfe"]}, None, None),
        (Access(TOKENS), {}, None, None),
        (Access({}), given(""), None, None),
        (Access(TOKENS), {}, "marie", Identity("marie", "login")),
        (Access(TOKENS), {}, "guest", None),
        (Access(TOKENS, open_logins=True), {}, "marie", None),
        (Access(TOKENS, {"m@x.org": "marie"}, open_logins=True), {}, "m@x.org", Identity("marie", "login")),
        (Access(TOKENS, {"m@x.org": "marie"}), {}, "marie", None),
    ],
)
def test_who_a_session_is(access: Access, arguments: dict[str, list[bytes]], user: str | None, who: object) -> None:
    assert access.identity(arguments, user) == who


def test_tokens_are_long_and_never_the_same() -> None:
    made = [token for _ in range(50) for token in tokens_for("a", "b")]
    assert len(set(made)) == 100
    assert min(map(len, made)) >= 32


def test_logins_are_pairs_also_where_a_login_has_an_equals_sign() -> None:
    assert logins_of(["m=1@x.org=marie", "lea=lea"]) == {"m=1@x.org": "marie", "lea": "lea"}
    assert logins_of([]) is None
    for wrong in ("marie", "=marie", "marie="):
        with pytest.raises(ValueError, match="LOGIN=AGENT"):
            logins_of([wrong])


def test_panels_server_gets_a_secret_of_its_own_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PANEL_COOKIE_SECRET", raising=False)
    one, two = (server_options(basic_auth="users.json") for _ in range(2))
    assert one["basic_auth"] == "users.json"
    assert one["cookie_secret"] != two["cookie_secret"]
    found = server_options(oauth_provider="github", cookie_secret="s", key="k", secret=None)
    assert found == {"cookie_secret": "s", "oauth_provider": "github", "oauth_key": "k"}
    assert server_options() == {}
    with pytest.raises(ValueError, match="not by both"):
        server_options(basic_auth="users.json", oauth_provider="github")


def test_behind_jupyterhub_the_owner_is_the_hubs_user_and_the_path_is_the_proxys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hub_prefix() == ""
    monkeypatch.setenv("JUPYTERHUB_USER", "marie")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/marie/")
    assert login() == "marie"
    assert hub_prefix() == "/user/marie/proxy/"
