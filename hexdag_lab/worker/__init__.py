"""All that a worker loads: a node's code and inputs come in, an outcome goes out, and what happens is said meanwhile.

It knows neither Dask nor stores: `execute` runs one attempt and says everything through a function that it is given.
"""

from .context import Note, RunContext, context
from .execute import Outcome, execute

__all__ = ["Note", "Outcome", "RunContext", "context", "execute"]
