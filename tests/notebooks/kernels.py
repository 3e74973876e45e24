"""Real Jupyter kernels, and what a front end sees of them: outputs of cells, and widgets that can be clicked.

Kernels of ipykernel 7, which the lock has, and of ipykernel 6, which `.ci/ipykernel-6` installs beside it.
"""

from __future__ import annotations

import os
import queue
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

SIX = Path(__file__).parents[2] / ".venv-ipykernel-6"
PATIENCE = 60.0  #: seconds that anything in a kernel may take


@dataclass
class Cell:
    """A cell that was sent: what it has printed, what it shows by type, its error, and whether it has ended."""

    id: str
    text: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    ended: bool = False


class Kernel:
    """One kernel, in a folder."""

    def __init__(self, folder: Path, six: bool = False) -> None:
        path = [str(SIX)] if six else []
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, str(Path(__file__).parents[2])])}
        self._manager = KernelManager(kernel_name="python3")
        self._manager.kernel_spec.argv[0] = sys.executable
        self.folder = folder
        self._cells: dict[str, Cell] = {}
        self.widgets: dict[str, dict[str, Any]] = {}
        self._manager.start_kernel(cwd=str(folder), env=self._environment)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def restart(self) -> None:
        """As *Restart Kernel* does: the process is given a moment to end, and another one takes its place."""
        self._manager.restart_kernel()
        self._client.wait_for_ready(timeout=PATIENCE)
        self.widgets.clear()

    def interrupt(self) -> None:
        """As *Interrupt Kernel* does: SIGINT to the kernel's whole process group."""
        self._manager.interrupt_kernel()

    # -- cells

    def start(self, code: str) -> Cell:
        """Send a cell; it goes on while the test does something else."""
        cell = Cell(self._client.execute(code))
        self._cells[cell.id] = cell
        return cell

    def run(self, code: str) -> Cell:
        """A cell that has ended well."""
        cell = self.ended(self.start(code))
        assert not cell.error, f"{cell.error} in:\n{code}"
        return cell

    def fails(self, code: str) -> str:
        """The error that a cell ends with."""
        return self.ended(self.start(code)).error

    def ended(self, cell: Cell) -> Cell:
        self.until(lambda: cell.ended, f"the cell has ended; it printed {cell.text!r}")
        return cell

    def until(self, met: Any, what: str = "") -> Any:
        """The first true value of `met`, while what the kernel sends is taken in."""
        give_up = time.monotonic() + PATIENCE
        while not (found := met()):
            assert time.monotonic() < give_up, f"not within {PATIENCE:g} s: {what}"
            try:
                self._heard(self._client.get_iopub_msg(timeout=0.05))
            except queue.Empty:
                continue
        return found

    def _heard(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        cell = self._cells.get(message["parent_header"].get("msg_id", ""), Cell(""))
        if kind == "stream":
            cell.text += content["text"]
        elif kind in ("execute_result", "display_data"):
            cell.shown |= content["data"]
        elif kind == "error":
            cell.error = f"{content['ename']}: {content['evalue']}"
        elif kind == "status":
            cell.ended = cell.ended or content["execution_state"] == "idle"
        elif kind == "comm_open":
            self.widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])

    # -- widgets

    def reads(self, text: str) -> bool:
        """Whether any widget shows a text."""
        return any(text in str(state.get("value", "")) for state in self.widgets.values())

    def button(self, name: str) -> str:
        """The widget id of the newest button of that name that is in its place and can be pressed, or ""."""
        placed = {child for state in self.widgets.values() for child in state.get("children", ())}
        found = [
            id_
            for id_, state in self.widgets.items()
            if state.get("description") == name and not state.get("disabled") and f"IPY_MODEL_{id_}" in placed
        ]
        return found[-1] if found else ""

    def click(self, name: str, subshell: str | None = None) -> None:
        """Press a button, as soon as it is there; over a subshell as JupyterLab does where the kernel has them."""
        id_ = self.until(lambda: self.button(name), f"a button {name!r}")
        data = {"method": "custom", "content": {"event": "click"}}
        message = self._client.session.msg("comm_msg", {"comm_id": id_, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def subshell(self) -> str:
        """A new subshell, in a kernel that has them."""
        self._client.control_channel.send(self._client.session.msg("create_subshell_request"))
        while (answer := self._client.get_control_msg(timeout=PATIENCE))["msg_type"] != "create_subshell_reply":
            continue
        return str(answer["content"]["subshell_id"])
