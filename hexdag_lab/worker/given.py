"""`Given`: a node that is given to an agent, whose `run` is called in place of the node's own function.

The node's function says what is wanted: its signature what goes in, its docstring what is to be done, and nobody calls
it. The agent's `run(inputs)` gets the values by the names of the parameters; `hx.context().asked` is the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


class Given:
    """Calls an agent's `run(inputs)` with what the node's own function would get."""

    def __init__(self, fn: Callable[..., Any], run: Callable[[dict[str, Any]], Any]) -> None:
        self.fn, self.run = fn, run

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        signature = self.__signature__
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        inputs = dict(bound.arguments)
        for p in signature.parameters.values():
            if p.kind is p.VAR_KEYWORD:
                inputs.update(inputs.pop(p.name))
        return self.run(inputs)
