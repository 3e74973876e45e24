"""The public face: names, docstrings, and what an import loads."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import hexdag_lab as hx

HEAVY = ("anthropic", "dask", "distributed", "ipywidgets", "openai", "panel", "pydantic_ai")
#: the names that users rely on
PROMISED = [
    "Agent",
    "AlreadyDecided",
    "Ballot",
    "Catalog",
    "Changeset",
    "Conflict",
    "CycleError",
    "Dag",
    "DagError",
    "Deadline",
    "DuplicateNode",
    "FrozenNode",
    "HexdagError",
    "HumanAgent",
    "InvalidName",
    "Lab",
    "LabInUse",
    "NodeSpec",
    "NotAllowed",
    "NotFinished",
    "PoolUnavailable",
    "Quorum",
    "Refused",
    "RunFailed",
    "SchemaError",
    "StaleBase",
    "StoreUnavailable",
    "Supermajority",
    "TypeMismatch",
    "UnboundParameter",
    "UnknownNode",
    "WouldBlock",
    "context",
    "diff",
    "node",
]


def test_all_is_sorted_and_complete() -> None:
    source = ast.parse(Path(hx.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name
        for part in ast.walk(source)
        if isinstance(part, ast.ImportFrom) and part.level
        for alias in part.names
    }
    assert hx.__all__ == sorted(hx.__all__)
    assert set(hx.__all__) == typed, "what type checkers see is what there is"
    assert set(PROMISED) <= set(hx.__all__) <= set(dir(hx))
    for name in hx.__all__:
        assert getattr(hx, name) is getattr(hx, name)
    public = {name for name, value in vars(hx).items() if name[0] != "_" and not isinstance(value, types.ModuleType)}
    assert public - {"Any", "TYPE_CHECKING", "import_module", "load_ipython_extension"} == set(hx.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = hx.nope


@pytest.mark.parametrize("name", hx.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = getattr(hx, name)
    assert (inspect.getdoc(value) or "").strip(), f"hx.{name} has no docstring"
    if inspect.isclass(value) and value.__module__.startswith("hexdag_lab"):
        for attribute, member in vars(value).items():
            told = inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
            if attribute[0] != "_" and told and value.__name__ in ("Lab", "Run", "ProposalHandle"):
                assert inspect.getdoc(getattr(value, attribute)), f"hx.{name}.{attribute} has no docstring"


def test_the_errors_are_a_tree_by_what_to_do_about_it() -> None:
    for error in (hx.CycleError, hx.UnknownNode, hx.DuplicateNode, hx.InvalidName, hx.UnboundParameter, hx.TypeMismatch,
                  hx.SchemaError):  # fmt: skip
        assert issubclass(error, hx.DagError)
    assert issubclass(hx.DagError, ValueError)
    for error in (hx.NotAllowed, hx.AlreadyDecided, hx.StaleBase, hx.FrozenNode, hx.WouldBlock):
        assert issubclass(error, hx.Refused)
    for error in (
        hx.DagError,
        hx.Refused,
        hx.RunFailed,
        hx.NotFinished,
        hx.PoolUnavailable,
        hx.StoreUnavailable,
        hx.LabInUse,
    ):
        assert issubclass(error, hx.HexdagError)
    assert not issubclass(hx.Conflict, Exception)


def loaded(script: str, tmp_path: Path) -> set[str]:
    """The top-level modules that a fresh process has after a script."""
    script += "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "script",
    [
        "import hexdag_lab",
        "import hexdag_lab.cli",
        "import hexdag_lab as hx\nwith hx.Lab(pool='inline', store='memory://') as lab:\n"
        "    lab.start(hx.Dag.of(hx.NodeSpec('a', lambda: 1))).wait(10)",
    ],
    ids=["import", "cli", "inline"],
)
def test_an_import_loads_no_screen_no_cluster_and_no_model_client(script: str, tmp_path: Path) -> None:
    assert not loaded(script, tmp_path) & set(HEAVY)
