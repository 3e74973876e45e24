"""How a lab lies in a store: the names of its keys and streams, and commands from other processes as signed text."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any, NamedTuple

from ..core.base.codec import dumps, loads, record
from ..core.base.errors import REFUSALS, NotAllowed, Refused, SchemaError
from ..core.machine.messages import ANSWERS, COMMANDS, CastBallot, Propose
from ..ports import SHARED
from .seal import Seal

ID_BYTES = 12  #: of a command's id
_ID = re.compile("[0-9a-f]{%d}" % (2 * ID_BYTES))  # noqa: UP031

LEADER = "leader"  #: the lease
STANDBY = "standby"  #: the lease of a process that will lead as soon as nobody does
SERVICE = ":service"  #: at the end of a leader's name: it leads for others, who may start runs
LAB = "lab"  #: key: whose lab this is, as a fingerprint of its key
WORKERS = "workers"  #: key: the leader's workers, as they are
REGIONS = "regions"  #: key: the regions, as the leader has seen them last
INBOX = "inbox"  #: stream of commands
RUNS = "runs"  #: stream of run ids
DRAFTS = "drafts"  #: stream of the names of drafts, each at least once
OFFSET = "inbox/offset"  #: key: commands up to here were decided, or are for runs that nobody led
LED = "led"  #: key: who took the lead last


def desk(id_: str) -> str:
    """The lease of a process that asks its own agents."""
    return f"desk/{id_}"


def journal(run: str) -> str:
    """The stream of a run's events."""
    return f"run/{run}"


def chain(run: str) -> str:
    """The stream of the chain over a run's journal."""
    return f"chain/{run}"


def draft(name: str) -> str:
    """The stream of a draft's writes."""
    return f"draft/{name}"


def region(name: str) -> str:
    """The key of what the labs of a region have seen."""
    return f"region/{name}"


def copies(name: str) -> str:
    """The key of what the copies of a draft have told of themselves."""
    return f"copies/{name}"


def importing(run: str) -> str:
    """The key of how far the import of a run has come."""
    return f"importing/{run}"


def archive(run: str) -> str:
    """The key of what of a run's journal is in blobs."""
    return f"archive/{run}"


def summary(run: str) -> str:
    """The key of a run's one-line summary."""
    return f"summary/{run}"


def lessons(run: str) -> str:
    """The key of what a run has taught about voters."""
    return f"lessons/{run}"


def cached(key: str) -> str:
    """The key of where a result lies, by its action key."""
    return f"cache/{key}"


def last(node: str) -> str:
    """The key of what a node of that name was last made from, in any run."""
    return f"last/{node}"


def section(name: str) -> str:
    """The lease of a critical section, and the key of its mark: the same for all labs of a store."""
    return f"{SHARED}section/{name}"


def log(run: str) -> str:
    """The key of the last lines that a run's nodes have said."""
    return f"log/{run}"


def reply_key(command: str) -> str:
    """The key of the answer to a command."""
    return f"reply/{command}"


@record
class Fetch:
    """Asks the leader to keep a result that only its pool has, so that another process can read it."""

    node: str
    fence: int


@record
class Drain:
    """Asks the leader to let a worker leave; it is answered when the worker has left, or cannot."""

    worker: str


REQUESTS = (Fetch, Drain)  #: what the leader does itself: no run decides it, and nothing of it is journaled


class Command(NamedTuple):
    """A command from another process. `message` is a `Refused` if it cannot be read, or is not from one of us: neither
    has it the lab's key, nor is it a ballot or proposal that an agent has signed."""

    id: str
    run: str
    message: Any


def pack_command(run: str, message: Any, seal: Seal) -> tuple[str, bytes]:
    """A command's id, and its signed text for the inbox."""
    id_ = secrets.token_hex(ID_BYTES)
    body = json.dumps({"id": id_, "run": run, "message": dumps(message).decode()})
    return id_, json.dumps({"mac": seal.mac("command", body), "body": body}).encode()


def unpack_command(data: bytes, seal: Seal) -> Command:
    """The command in a row of the inbox, refused if it is damaged or was not made with the lab's key."""
    id_ = ""
    try:
        outer = json.loads(data)
        body, mac = str(outer["body"]), str(outer["mac"])
        inner = json.loads(body)
        if _ID.fullmatch(str(inner["id"])):
            id_ = str(inner["id"])  # so that whoever waits for an answer gets one
        message = loads(inner["message"])
        if not seal.good(mac, "command", body) and not _by_agent(message):
            text = "this command does not carry the lab's key, so it is not executed"
            return Command(id_, "", NotAllowed(text, rule="unsigned-command", fix="share the key file"))
        if not isinstance(message, (*COMMANDS, *ANSWERS, *REQUESTS)):
            raise SchemaError(f"{type(message).__name__} is no command")
        return Command(id_, str(inner["run"]), message)
    except (ValueError, LookupError, TypeError, AttributeError, SchemaError, RecursionError) as error:
        return Command(id_, "", Refused(f"this command cannot be read: {error}", rule="unreadable-command"))


def _by_agent(message: Any) -> bool:
    """Whether an agent with a key of its own has signed it: the controller's door looks at the signature."""
    ballot = isinstance(message, CastBallot) and message.via == "key"
    return (ballot or isinstance(message, Propose)) and message.proof is not None


def pack_reply(value: Any) -> bytes:
    """The answer to a command as text."""
    if isinstance(value, Refused):
        said = {"kind": type(value).__name__, "message": value.message, "rule": value.rule, "fix": value.fix}
        return json.dumps({"refused": said}).encode()
    return json.dumps({"value": value}).encode()


def unpack_reply(data: bytes) -> Any:
    """The answer in a reply: a value, or a `Refused`."""
    answer = json.loads(data)
    if "refused" in answer:
        refused = answer["refused"]
        return REFUSALS[refused["kind"]](refused["message"], rule=refused["rule"], fix=refused["fix"])
    return answer["value"]
