"""What `import hexdag_lab` costs beside `import pydantic`: fresh interpreters, interleaved, medians.

python -m tests.benchmarks.imports [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys

STATEMENTS = {
    "import pydantic": "import pydantic",
    "import hexdag_lab": "import hexdag_lab",
    "from pydantic import BaseModel": "from pydantic import BaseModel",
    "import hexdag_lab, every public name": "import hexdag_lab; [getattr(hexdag_lab, n) for n in hexdag_lab.__all__]",
}


def seconds(statement: str) -> float:
    timed = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout)


def main(rounds: int = 15) -> float:
    times: dict[str, list[float]] = {label: [] for label in STATEMENTS}
    for _ in range(rounds):
        for label, statement in STATEMENTS.items():
            times[label].append(seconds(statement))
    medians = {label: statistics.median(values) for label, values in times.items()}
    for label, median in medians.items():
        print(f"  {label:38s} {median * 1e3:6.1f} ms")
    ratio = medians["import hexdag_lab"] / medians["import pydantic"]
    print(f"  import hexdag_lab / import pydantic: {ratio:.2f}x   (target <= 2)")
    return ratio


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
