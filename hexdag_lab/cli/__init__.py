"""`hexdag-lab`: runs from a terminal. Thin: every command is a few calls that a notebook could make.

Each module has the commands of one purpose and adds them to the parser by its `add`. Exit codes: 0 done; 1 the run
ended badly; 2 the command cannot be done, and says why; 130 interrupted.
"""

from .main import main

__all__ = ["main"]
