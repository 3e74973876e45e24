"""Admission: what a message has to go through between the inbox and the decision.

The core is pure, so it sees neither keys nor files. What a worker reports is sealed with the lab's key, so that nobody
can put another value in its place later, and a trace gets the lines of source that it names. What an agent says is
signed, here if it comes from here, or its signature is checked. Whether the message may do what it asks for is not
decided here: that is the core's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ..core.base.errors import Refused, SchemaError
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..worker.failures import with_sources
from .inbox import Item
from .keys import Keys, admitted
from .shipping import Shipping


def admit(item: Item, state: RunState, shipping: Shipping, keys: Keys) -> Any:
    """A message for a run as the core is to see it, or the `Refused` that its sender gets."""
    message = item.message
    match message:
        case ms.Succeeded() | ms.ResultKept():
            return replace(message, result=shipping.seal(message.result))
        case ms.Failed():
            return replace(message, failure=replace(message.failure, trace=with_sources(message.failure.trace)))
        case ms.Suspended() | ms.Checkpointed() if message.saved is not None:
            return replace(message, saved=shipping.seal(message.saved))
        case ms.Propose() if item.reply is None and not item.command:  # from one of the lab's own workers
            return _signed(replace(message, changeset=shipping.sign(message.changeset)), state, item, keys)
        case ms.Propose() | ms.CastBallot():
            return _signed(message, state, item, keys)
    return message


def _signed(message: ms.Propose | ms.CastBallot, state: RunState, item: Item, keys: Keys) -> Any:
    """The message as its agent has signed it: here, if it comes from here, or where it comes from."""
    try:
        ours = message if item.command else keys.signed(state, message)
    except SchemaError as error:
        return Refused(str(error), rule="unsignable", fix="give a reason that is Unicode text")
    return admitted(message, time.time()) if ours is message else ours
