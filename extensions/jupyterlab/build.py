"""Gives the browser's files the name that they are cached by: `python build.py`. With `--check` it only looks at it.

What the browser runs lies below data/, as it stands, and `src` leads there. Its folder is named by a digest of the
files, so that no browser takes old ones for new. After a change this renames the folder and says so in the two
descriptions that JupyterLab reads, and in `src`. Python alone is needed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "data" / "share" / "jupyter" / "labextensions" / "hexdag-lab"


def digest_of(folder: Path) -> str:
    """Of the names and contents of all files."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        digest.update(f"{file.name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]


def descriptions(folder: str) -> dict[str, str]:
    """The descriptions, by the names of their files."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    build = {"load": f"static/{folder}/remoteEntry.js", "extension": "./extension"}
    package = {
        "name": "hexdag-lab", "version": project["version"], "description": project["description"],
        "license": project["license"], "jupyterlab": {"extension": True, "_build": build},
    }  # fmt: skip
    uninstall = f"Use your Python package manager (pip, conda, …) to uninstall the package {project['name']}"
    install = {"packageManager": "python", "packageName": project["name"], "uninstallInstructions": uninstall}
    made = {"package.json": package, "install.json": install}
    return {name: json.dumps(data, indent=2, ensure_ascii=False) + "\n" for name, data in made.items()}


def main() -> int:
    (there,) = (TARGET / "static").iterdir()
    name = digest_of(there)
    wanted = descriptions(name)
    if there.name == name and all((TARGET / file).read_text("utf-8") == text for file, text in wanted.items()):
        return 0
    if "--check" in sys.argv[1:]:
        print(f"the files have changed since they were named: python {HERE.name}/build.py", file=sys.stderr)
        return 1
    there.rename(there.with_name(name))
    for file, text in wanted.items():
        (TARGET / file).write_text(text, "utf-8")
    link = HERE / "src"
    link.unlink(missing_ok=True)
    link.symlink_to(there.with_name(name).relative_to(HERE), target_is_directory=True)
    print(f"named static/{name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
