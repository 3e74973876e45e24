"""`python_source`: the one operation by which an agent may propose code. It is of high risk: a person always votes.

It is in no catalogue unless you put it there: `hx.Catalog(fit, hx.python_source)`.
"""

from __future__ import annotations

import ast
from hashlib import sha256

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..core.dag.catalog import HIGH, Operation
from ..worker import source as worker

LONGEST = 20_000  #: characters


class Source(BaseModel):
    """A text of Python; its hash is made here, and nobody can give another one."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(
        max_length=LONGEST, description="Python that defines run(...); its parameters are the nodes it comes after"
    )
    digest: str = Field("", max_length=64, description="leave it out")

    @model_validator(mode="after")
    def _checked(self) -> Source:
        try:
            tree = ast.parse(self.source)
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"this is no Python: {error}") from error
        if not any(isinstance(node, ast.FunctionDef) and node.name == worker.ENTRY for node in tree.body):
            raise ValueError(f"the text defines no function {worker.ENTRY}(…)")
        found = sha256(self.source.encode()).hexdigest()
        if self.digest not in ("", found):
            raise ValueError(f"the SHA-256 of this source is {found}: leave digest out")
        self.digest = found
        return self


python_source = Operation(worker.python_source, "python_source", params=Source, risk=HIGH)
