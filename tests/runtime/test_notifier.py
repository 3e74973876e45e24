"""People are told by a real server that is slow, down, or fails, and whatever it does, is counted."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest

from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.policy import Deadline, Policy
from hexdag_lab.core.votes.weighing import Supermajority
from hexdag_lab.runtime.notices import Notice, Told, notices, remind_at
from hexdag_lab.runtime.notifier import TRIES, NotDelivered, Notifier
from hexdag_lab.runtime.webhook import Webhook
from tests.core.machine.diary import Diary, spec
from tests.runtime.hook_server import hooks
from tests.runtime.kit import until

SECRET = "HEXDAG_TEST_HOOK"
PACE = 0.02  #: seconds
ANN, BOT = Seat("ann", human=True), Seat("bot", votes="here")

Telling = Callable[..., Notifier]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "s3cret")


@pytest.fixture
def telling() -> Iterator[Telling]:
    """`telling(url, *states)`: a notifier that ends with the test."""
    made = list[Notifier]()

    def start(url: str, *states: RunState, seconds: float = 5.0) -> Notifier:
        hook = Webhook(url, SECRET, seconds)
        made.append(Notifier(lambda: states, hook.deliver, hook.host, PACE))
        return made[-1]

    yield start
    for notifier in made:
        notifier.end()


def asked(*seats: Seat, policy: Policy | None = None, proposals: int = 1) -> Diary:
    """A run that waits for ballots on what eve has proposed."""
    lab = Diary("load > fit", policy or Supermajority(1) & Deadline(600), seats=(*seats, Seat("eve")), owner="ann")
    lab.start()
    for number in range(1, proposals + 1):
        lab.propose(f"p{number}", lab.change().add_node(spec(f"more{number}")), by="eve")
    return lab


def told(lab: Diary, now: float = 0.0) -> list[tuple[str, str]]:
    return [(n.body["person"], n.body["type"]) for n in notices(lab.state, now)]


# -- who is told, and when


def test_a_person_is_told_when_nobody_but_people_can_decide() -> None:
    lab = asked(ANN, BOT)
    assert told(lab) == []  # bot is being asked
    lab.vote("p1", "bot")
    assert told(lab) == [("ann", Told.NEEDED)]
    lab.vote("p1", "ann")
    assert told(lab) == []


def test_and_once_more_before_the_deadline_as_early_as_she_wants() -> None:
    lab = asked(Seat("ann", human=True, remind=100.0), Seat("bea", human=True))
    first = [("ann", Told.NEEDED), ("bea", Told.NEEDED)]
    assert told(lab, 499) == first
    assert told(lab, 500) == [first[0], ("ann", Told.REMINDER), first[1]]
    assert told(lab, 540)[-1] == ("bea", Told.REMINDER)
    assert remind_at(Seat("ann", remind=10**6), opened=0, due=600) == 300  # the middle of her time


def test_without_a_deadline_nobody_is_reminded() -> None:
    assert told(asked(ANN, policy=Supermajority(1)), 10.0**9) == [("ann", Told.NEEDED)]


def test_a_notice_says_what_it_is_about_and_keeps_its_id() -> None:
    lab = asked(ANN)
    (one,), (again,) = notices(lab.state, 1.0), notices(lab.state, 2.0)
    assert one.id == again.id
    about = {"run": "r", "proposal": "p1", "person": "ann", "by": "eve", "summary": "+1 node", "deadline": 600.0}
    assert about.items() <= one.body.items()


# -- what arrives


def test_a_notice_arrives_once_and_is_signed(telling: Telling) -> None:
    with hooks() as server:
        notifier = telling(server.url, asked(ANN, policy=Supermajority(1)).state)
        until(lambda: notifier.sent == 1)
        until(lambda: not notifier._ended.wait(5 * PACE))  # some more looks
        ((headers, body),) = server.came
    signed = f"{headers['hexdag-timestamp']}.".encode() + body
    assert headers["hexdag-signature"] == f"sha256={hmac.new(b's3cret', signed, sha256).hexdigest()}"
    assert server.told[0]["type"] == "needed"


def test_after_two_failures_it_arrives_and_the_log_has_said_so_once(
    telling: Telling, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), hooks(lambda number: 500 if number < 3 else 200) as server:
        notifier = telling(server.url, asked(ANN, policy=Supermajority(1)).state)
        until(lambda: notifier.sent == 1)
        assert (notifier.failed, notifier.lost, notifier.trouble) == (2, 0, "")
        assert [told["id"] for told in server.told] == [server.told[0]["id"]] * 3
    said = [record.getMessage() for record in caplog.records if record.name == "hexdag_lab.runtime.notifier"]
    assert len(said) == 2
    assert said[0].endswith("answered 500")
    assert said[1].endswith("takes notices again")
    assert "secret" not in " ".join(said)


def test_a_server_that_is_down_is_tried_again_until_it_is_there(telling: Telling) -> None:
    with hooks() as server:
        port, url = server.port, server.url
    notifier = telling(url, asked(ANN, policy=Supermajority(1)).state)
    until(lambda: notifier.failed >= 2)
    assert "cannot be reached" in notifier.trouble
    with hooks(port=port):
        until(lambda: notifier.sent == 1, 20)


def test_a_silent_server_takes_no_more_than_the_seconds_it_is_given(telling: Telling) -> None:
    with hooks(lambda number: 60.0 if number == 1 else 200) as server:
        notifier = telling(server.url, asked(ANN, policy=Supermajority(1)).state, seconds=0.2)
        until(lambda: notifier.failed == 1)
        assert "no answer within 0.2 s" in notifier.trouble
        until(lambda: notifier.sent == 1)


@pytest.mark.parametrize("status", [302, 400, 404])
def test_what_is_refused_for_good_is_given_up_and_the_others_go_on(telling: Telling, status: int) -> None:
    with hooks(lambda number: status if number == 1 else 200) as server:
        notifier = telling(server.url, asked(ANN, policy=Supermajority(1), proposals=2).state)
        until(lambda: notifier.sent == 1)
        assert (notifier.failed, notifier.lost, len(server.came)) == (1, 1, 2)


def test_a_server_that_always_fails_is_given_up_after_some_tries(telling: Telling) -> None:
    with hooks(lambda number: 503) as server:
        notifier = telling(server.url, asked(ANN, policy=Supermajority(1)).state)
        until(lambda: notifier.lost == 1, 30)
        assert len(server.came) == notifier.failed == TRIES


def test_what_is_decided_meanwhile_is_told_to_nobody() -> None:
    lab, tried = asked(ANN, policy=Supermajority(1)), list[Notice]()
    states: list[RunState] = [lab.state]
    notifier = Notifier(lambda: states, _down(tried), "a door", PACE)
    try:
        until(lambda: notifier.failed == 1)
        lab.vote("p1", "ann")
        states[:] = [lab.state]
        until(lambda: not notifier._tried)
        assert (notifier.sent, notifier.lost) == (0, 0)
    finally:
        notifier.end()


def _down(tried: list[Notice]) -> Callable[[Notice], None]:
    def deliver(notice: Notice) -> None:
        tried.append(notice)
        raise NotDelivered("down", again=True)

    return deliver


# -- what a webhook has to be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://host"}, "url is the address"),
        ({"url": "https://"}, "url is the address"),
        ({"url": "https://host:port/"}, "url is the address"),
        ({"url": "https://[host/"}, "url is the address"),
        ({"secret": "s3cr=t"}, "name of an environment variable"),
        ({"secret": "HEXDAG_NOT_SET"}, "HEXDAG_NOT_SET is empty"),
        ({"seconds": 0}, "above 0"),
    ],
)
def test_a_webhook_that_cannot_be_says_why(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Webhook(**{"url": "https://host/path", "secret": SECRET, **options})


def test_no_log_has_the_path_of_the_address_not_even_that_of_the_client(
    telling: Telling, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), hooks(lambda number: 500 if number == 1 else 200) as server:
        notifier = telling(server.url, asked(ANN, policy=Supermajority(1)).state)
        until(lambda: notifier.sent == 1)
    assert "answered 500" in caplog.text
    assert "a-secret-path" not in caplog.text
    assert not logging.getLogger("httpx").filters


def test_a_webhook_shows_neither_its_path_nor_its_secret() -> None:
    hook = Webhook("https://host:8443/a-secret-path?token=x", SECRET)
    assert "path" not in repr(hook) + hook.host
    assert hook.host == "https://host:8443"
