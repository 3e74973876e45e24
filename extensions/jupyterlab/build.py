"""Makes of src/ what JupyterLab loads, in data/: `python build.py`; with `--check` it only says whether it is that.

The files are copied as they are. All that is made is the folder's name, which is a digest of them, so that no browser
takes old files for new ones, and the two descriptions that JupyterLab reads. Python alone is needed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "data" / "share" / "jupyter" / "labextensions" / "hexdag-lab"


def build(target: Path) -> None:
    """Write the extension into an empty folder."""
    sources = sorted((HERE / "src").iterdir())
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.name}\0{source.stat().st_size}\0".encode() + source.read_bytes())
    folder = digest.hexdigest()[:12]
    static = target / "static" / folder
    static.mkdir(parents=True)
    for source in sources:
        shutil.copyfile(source, static / source.name)
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    build = {"load": f"static/{folder}/remoteEntry.js", "extension": "./extension"}
    _write(
        target / "package.json",
        {
            "name": "hexdag-lab", "version": project["version"], "description": project["description"],
            "license": project["license"], "jupyterlab": {"extension": True, "_build": build},
        },
    )  # fmt: skip
    uninstall = f"Use your Python package manager (pip, conda, …) to uninstall the package {project['name']}"
    _write(
        target / "install.json",
        {"packageManager": "python", "packageName": project["name"], "uninstallInstructions": uninstall},
    )


def _write(file: Path, data: object) -> None:
    file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> int:
    with tempfile.TemporaryDirectory() as made:
        build(Path(made))
        if files(Path(made)) == files(TARGET):
            return 0
        if "--check" in sys.argv[1:]:
            print(f"{TARGET.relative_to(HERE)} is not what src/ makes: python {HERE.name}/build.py", file=sys.stderr)
            return 1
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(made, TARGET)
    print(f"made {TARGET.relative_to(HERE)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
