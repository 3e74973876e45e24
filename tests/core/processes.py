"""Running a script in a Python of its own, with the `hexdag_lab` and the tests of this one."""

import os
import subprocess
import sys
from pathlib import Path

import hexdag_lab


def output_of(script: str, hash_seed: str = "random") -> str:
    """What a script prints; it fails if the script does."""
    where = [str(Path(hexdag_lab.__path__[0]).parent), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(where)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
