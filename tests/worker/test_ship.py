"""A node's code travels whole, runs as it was when it was packed, and is refused where it cannot run as approved."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.worker import ship
from hexdag_lab.worker.ship import Loaded, load, pack, pack_value, unpack

OFFSET = 10


def shifted(n: int) -> int:
    return n + OFFSET


def uses_a_function_beside_it(n: int) -> int:
    return shifted(n) * 2


@hx.node
def recursive(n: int) -> int:
    return 1 if n <= 1 else n * recursive(n - 1)


class Row:
    def __init__(self, n: int) -> None:
        self.n = n


def makes_a_row(n: int) -> Row:
    return Row(n)


def shipped(fn: Any) -> Callable[..., Any]:
    data = pack(hx.NodeSpec("n", fn))
    return Loaded(*unpack(data, sha256(data).hexdigest())).fn


def elsewhere(data: bytes, expression: str, path: Path | None = None) -> str:
    """What an expression on the shipped `fn` gives in another process, which knows neither this module nor its path."""
    code = (
        f"import sys, hashlib; from hexdag_lab.worker.ship import unpack; data = sys.stdin.buffer.read();"
        f"fn = unpack(data, hashlib.sha256(data).hexdigest())[0]; print({expression})"
    )
    ran = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False, cwd=path or "/")
    return (ran.stdout or ran.stderr).decode().strip()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module of the user's own; a second time with another text, it is reloaded."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = []

    def write(name: str, text: str) -> types.ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        if name in sys.modules:
            return importlib.reload(sys.modules[name])
        made.append(name)
        return importlib.import_module(name)

    yield write
    for name in made:
        del sys.modules[name]


def test_a_function_of_a_test_module_runs_where_that_module_is_not_known() -> None:
    data = pack(hx.NodeSpec("n", uses_a_function_beside_it))
    assert elsewhere(data, "fn(1)") == "22"
    assert elsewhere(data, "'tests' in str(sorted(sys.modules))") == "False"


def test_a_class_of_a_test_module_comes_along() -> None:
    assert elsewhere(pack(hx.NodeSpec("n", makes_a_row)), "fn(3).n") == "3"


def test_a_lambda_a_closure_and_a_recursive_node_run() -> None:
    factor = 3
    assert shipped(lambda n: n * factor)(2) == 6
    assert shipped(recursive.spec.fn)(5) == 120


def test_a_function_defined_in_a_notebook_runs_elsewhere(tmp_path: Path) -> None:
    script = tmp_path / "cell.py"
    script.write_text(
        "import sys, hexdag_lab as hx\nfrom hexdag_lab.worker.ship import pack\n"
        "class Row:\n    n = 4\ndef cell():\n    return Row().n\n"
        "sys.stdout.buffer.write(pack(hx.NodeSpec('n', cell)))"
    )
    data = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout
    assert elsewhere(data, "fn()") == "4"


def test_a_module_made_in_memory_travels_by_value() -> None:
    made = types.ModuleType("made_in_memory")
    exec("def inner(n):\n    return n + 1\ndef outer(n):\n    return inner(n)", made.__dict__)
    sys.modules["made_in_memory"] = made
    try:
        data = pack(hx.NodeSpec("n", made.outer))
    finally:
        del sys.modules["made_in_memory"]
    assert elsewhere(data, "fn(1)") == "2"


def test_a_redefined_function_runs_its_new_code(module: Any) -> None:
    old = pack(hx.NodeSpec("n", module("pipeline", "def step():\n    return 'old'").step))
    new = pack(hx.NodeSpec("n", module("pipeline", "def step():\n    return 'new'").step))
    assert [load(data, sha256(data).hexdigest()).fn() for data in (old, new, old)] == ["old", "new", "old"]


def test_code_in_a_second_module_of_the_users_own_is_what_it_was_when_it_was_packed(module: Any) -> None:
    module("second", "def word():\n    return 'old'")
    step = module("first", "from second import word\ndef step():\n    return word()").step
    old = pack(hx.NodeSpec("n", step))
    module("second", "def word():\n    return 'new'")
    step = module("first", "from second import word\ndef step():\n    return word()").step
    new = pack(hx.NodeSpec("n", step))
    assert [elsewhere(data, "fn()") for data in (old, new)] == ["old", "new"]
    assert [load(data, sha256(data).hexdigest()).fn() for data in (old, new)] == ["old", "new"]


def test_a_second_module_that_cannot_travel_goes_by_name(module: Any, tmp_path: Path) -> None:
    module("locked", "import threading\nlock = threading.Lock()\ndef word():\n    with lock:\n        return 'locked'")
    data = pack(hx.NodeSpec("n", module("first", "from locked import word\ndef step():\n    return word()").step))
    assert elsewhere(data, "fn()", tmp_path) == "locked"
    assert "needs" not in elsewhere(data, "fn()", tmp_path)


def test_what_a_worker_cannot_import_is_named(module: Any) -> None:
    module("locked", "import threading\nlock = threading.Lock()\ndef word():\n    with lock:\n        return 'locked'")
    data = pack(hx.NodeSpec("n", module("first", "from locked import word\ndef step():\n    return word()").step))
    said = elsewhere(data, "fn()")
    assert "SchemaError: the code of this node cannot be loaded on this worker" in said
    assert "No module named 'locked'" in said


def test_shipping_leaves_the_registry_of_cloudpickle_as_it_was() -> None:
    before = cloudpickle.list_registry_pickle_by_value()
    pack(hx.NodeSpec("n", uses_a_function_beside_it))
    lock = threading.Lock()
    with pytest.raises(SchemaError):
        pack(hx.NodeSpec("n", lambda: lock))
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_a_function_that_holds_a_lock_cannot_travel_and_the_error_says_what_to_do() -> None:
    lock = threading.Lock()

    def holds() -> None:
        lock.acquire()

    with pytest.raises(SchemaError, match=r"node 'n' cannot be shipped to a worker: .*lock.*inside the function"):
        pack(hx.NodeSpec("n", holds))


def test_a_node_without_a_function_says_how_to_get_one() -> None:
    spec = hx.Dag.from_json(hx.Dag.of(recursive).to_json()).nodes["recursive"]
    with pytest.raises(SchemaError, match=r"has no function here; read it with a catalog"):
        pack(spec)


def test_other_bytes_than_were_approved_are_not_loaded() -> None:
    data = pack(hx.NodeSpec("n", shifted))
    with pytest.raises(SchemaError, match="do not match the hash that was approved"):
        unpack(data + b".", sha256(data).hexdigest())


def test_code_of_another_python_minor_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship, "_PYTHON", "3.9")
    data = pack_value(shifted, "a function")
    monkeypatch.undo()
    with pytest.raises(SchemaError, match=r"packed by Python 3\.9, and this worker has 3\.\d+: use the same minor"):
        unpack(data, sha256(data).hexdigest())


@pytest.mark.parametrize("data", [b"hexdag-code-2\n3.11\n...", b"", b"no lines at all"])
def test_code_of_another_release_is_not_loaded(data: bytes) -> None:
    with pytest.raises(SchemaError, match="packed by another release"):
        unpack(data, sha256(data).hexdigest())


def test_code_is_loaded_once_in_a_process_and_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    monkeypatch.setattr(ship, "unpack", lambda data, digest: loads.append(digest) or (None, None, None))
    few = ship._Loaded(2)
    for digest in ("a", "a", "b", "c", "b", "a"):
        few(b"", digest)
    assert loads == ["a", "b", "c", "a"]


def test_two_threads_that_load_the_same_code_get_the_same_function() -> None:
    data = pack(hx.NodeSpec("n", lambda: [].append(1)))
    barrier, found = threading.Barrier(4), []

    def fetch() -> None:
        barrier.wait()
        found.append(load(data, sha256(data).hexdigest()).fn)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(fn) for fn in found}) == 1
