"""The Jupyter kernel that this process may be: whether it is one, and when it hears what somebody presses on a page."""

from __future__ import annotations

import sys
import threading
from typing import Any

DEAF = "This kernel (ipykernel 6) hears a button only when no cell runs; ipykernel 7 hears it at any time."


def in_kernel() -> bool:
    """Whether a Jupyter kernel shows what cells return."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def in_main_thread() -> bool:
    """Whether this is the main thread of a Jupyter kernel, where its cells run."""
    main = threading.current_thread() is threading.main_thread()
    return main and "ipykernel" in sys.modules and in_kernel()


def deaf_in_cells() -> bool:
    """Whether it handles no message of a page before the cell that runs has ended, not even while that awaits: so
    ipykernel 6. Later ones do, and JupyterLab presses their buttons on subshells, beside a busy cell."""
    return in_kernel() and getattr(sys.modules.get("ipykernel"), "version_info", (7,))[0] < 7


def heard_beside_cells(widget: Any) -> None:
    """Let what is pressed on a widget, or on one inside, be heard on the subshell that the page has sent it over.

    ipykernel 7.4 hands it to the shell that has last told the widget something instead: that of cells, which may be
    busy. That method is its own affair, so it is looked for; where there is none, messages go where they are sent."""
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _as_sent
    for child in getattr(widget, "children", ()):
        heard_beside_cells(child)


def _as_sent(data: Any, subshell: str | None) -> str | None:
    return subshell
