"""FILE.py:NAME, as commands take it: the value of that name in a file of the user's."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TypeVar

from ..core.base.errors import HexdagError

T = TypeVar("T")


def load(target: str, kind: type[T], default: str) -> T:
    """The `kind` that `target` means; `default` is the name where it says none. The file is run."""
    file, _, name = target.partition(":")
    path = Path(file).resolve()
    how = f"write FILE.py:NAME, where NAME is a {kind.__name__} in it"
    if not path.is_file():
        raise ValueError(f"there is no file {file!r}; {how}")
    module_name = path.stem if path.stem not in sys.modules else f"{path.stem}_file"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file!r} is no Python file; {how}")
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    found = getattr(module, name or default, None)
    if not isinstance(found, kind):
        names = ", ".join(sorted(key for key, value in vars(module).items() if isinstance(value, kind)))
        raise HexdagError(f"{file} has no {kind.__name__} named {name or default!r}; it has {names or 'none'}")
    return found
