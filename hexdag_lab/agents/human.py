"""`HumanAgent`: a person. Nobody asks a person by a function: the open proposal is on the screens, and the vote comes
by a button, the command line or `p.vote`."""

from __future__ import annotations

from dataclasses import dataclass

from .agent import Agent


@dataclass(slots=True, eq=False)
class HumanAgent(Agent):
    """A person who takes part; trusted fully unless said otherwise.

    With `vote`, a script answers for her: for rehearsals and tests.
    """

    trust: float = 1.0

    human = True
