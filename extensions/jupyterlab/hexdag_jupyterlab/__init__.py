"""hexdag_lab in JupyterLab: a side bar with runs and pending approvals, and dashboards in tabs.

This is the part in the Jupyter server. It finds the labs of this user on this machine by the files that their leaders
keep in Jupyter's runtime directory (`labs`), starts for each a process of the lab's own Python that watches the store
(`doors`), and hands on what the browser asks (`handlers`). It imports nothing of hexdag_lab: the server's environment
and the lab's may differ.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hexdag_jupyterlab"}]


def _load_jupyter_server_extension(server: Any) -> None:
    from .doors import Doors
    from .handlers import routes

    doors = Doors(server.log)
    server.web_app.add_handlers(".*$", routes(server.web_app.settings["base_url"], doors))
    server.web_app.settings["hexdag_lab_doors"] = doors
    server.log.info("hexdag_jupyterlab: looks for labs of this user on this machine")


async def _stop_jupyter_server_extension(server: Any) -> None:
    doors = server.web_app.settings.get("hexdag_lab_doors")
    if doors is not None:
        await doors.close()
