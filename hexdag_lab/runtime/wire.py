"""How a lab lies in a store: the names of its keys and streams, and commands from other processes as signed text."""

from __future__ import annotations

import json
import secrets
from typing import Any, NamedTuple

from ..core.base.codec import dumps, loads
from ..core.base.errors import REFUSALS, NotAllowed, Refused, SchemaError
from .seal import Seal

LEADER = "leader"  #: the lease
INBOX = "inbox"  #: stream of commands
RUNS = "runs"  #: stream of run ids
OFFSET = "inbox/offset"  #: key: commands up to here were decided


def journal(run: str) -> str:
    """The stream of a run's events."""
    return f"run/{run}"


def summary(run: str) -> str:
    """The key of a run's one-line summary."""
    return f"summary/{run}"


def reply_key(command: str) -> str:
    """The key of the answer to a command."""
    return f"reply/{command}"


class Command(NamedTuple):
    """A command from another process."""

    id: str
    run: str
    message: Any


def pack_command(run: str, message: Any, seal: Seal) -> tuple[str, bytes]:
    """A command's id, and its signed text for the inbox."""
    id_ = secrets.token_hex(12)
    body = json.dumps({"id": id_, "run": run, "message": dumps(message).decode()})
    return id_, json.dumps({"mac": seal.mac("command", body), "body": body}).encode()


def unpack_command(data: bytes, seal: Seal) -> Command | Refused:
    """The command in a row of the inbox; a `Refused` if it is damaged or was not made with the lab's key."""
    try:
        outer = json.loads(data)
        body = outer["body"]
        if not seal.good(outer["mac"], "command", body):
            return NotAllowed(
                "this command does not carry the lab's key", rule="unsigned-command", fix="share the key file"
            )
        inner = json.loads(body)
        return Command(inner["id"], inner["run"], loads(inner["message"]))
    except (ValueError, KeyError, TypeError, SchemaError) as error:
        return Refused(f"this command cannot be read: {error}", rule="unreadable-command")


def pack_reply(value: Any) -> bytes:
    """The answer to a command as text."""
    if isinstance(value, Refused):
        refused = {
            "kind": type(value).__name__,
            "message": value.message,
            "rule": value.rule,
            "fix": value.fix,
        }
        return json.dumps({"refused": refused}).encode()
    return json.dumps({"value": value}).encode()


def unpack_reply(data: bytes) -> Any:
    """The answer in a reply: a value, or a `Refused`."""
    answer = json.loads(data)
    if "refused" in answer:
        refused = answer["refused"]
        return REFUSALS[refused["kind"]](refused["message"], rule=refused["rule"], fix=refused["fix"])
    return answer["value"]
