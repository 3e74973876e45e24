"""The labs that are led on this machine by this user: each leader keeps a file, for its user only, while it leads."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from jupyter_core.paths import jupyter_runtime_dir

FOLDER = "hexdag-lab"  #: in Jupyter's runtime directory; the leaders of labs know it as well


class LiveLab(NamedTuple):
    """What a leader says of its lab.

    store      its URL, which may hold a password: it is not for the browser
    where      the same for people;  directory  where its keys are looked for;  python  that of its environment
    """

    store: str
    where: str
    owner: str
    pid: int
    python: str
    directory: str

    @property
    def id(self) -> str:
        """A name that stays when the lab is led by another process later."""
        return hashlib.sha256(f"{self.store}\n{self.directory}".encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """What distinguishes it for people: the folder of its notebook."""
        return Path(self.directory).name or self.where


def live_labs() -> list[LiveLab]:
    """Those whose leaders live, by name. A file that others could have written or can read is not believed."""
    found = {}
    for file in sorted(Path(jupyter_runtime_dir(), FOLDER).glob("*.json")):
        try:
            about = file.stat()
            if about.st_uid != os.getuid() or about.st_mode & 0o077:
                continue
            lab = LiveLab(**json.loads(file.read_text("utf-8")))
            os.kill(lab.pid, 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)  # its process had no time to take it away
        except (OSError, ValueError, TypeError):
            continue  # gone meanwhile, or of another version
        else:
            found[lab.id] = lab
    return sorted(found.values(), key=lambda lab: (lab.name, lab.id))
