"""What `make demo` and `make test` rest on: a lock that says what to install and not where from, whole for
what pyproject.toml names, and contracts that nothing is excused from. CI does the install itself."""

import ast
import re
import sys
import tomllib
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
# One requirement a line: no comments, continued lines joined, no options.
LOCKED = re.findall(r"(?m)^[^\s-].*$", re.sub(r"(?m)^ *#.*\n", "", LOCK).replace("\\\n", " "))
REQUIREMENTS = [Requirement(line.split("--hash", maxsplit=1)[0].strip()) for line in LOCKED]
NAMED = [
    *PYPROJECT["build-system"]["requires"],
    *PYPROJECT["project"]["dependencies"],
    *(
        text
        for extra in PYPROJECT["project"]["optional-dependencies"].values()
        for text in extra
        if Requirement(text).name != PYPROJECT["project"]["name"]
    ),  # an extra of ours is named by its own line
    *PYPROJECT["dependency-groups"]["docs"],
]


def test_the_lock_tells_no_place_only_names_versions_and_hashes() -> None:
    assert "://" not in LOCK
    assert not re.search(r"(?m)^-", LOCK), "an option line: an index, a link, an editable"
    assert not re.search(r"(^|\s)~?/", LOCK), "a path"


def test_every_locked_requirement_is_pinned_and_hashed() -> None:
    whole = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+ .*--hash=sha256:[0-9a-f]{64}")
    assert LOCKED
    assert [line[:80] for line in LOCKED if not whole.match(line)] == []


@pytest.mark.parametrize("text", NAMED)
def test_the_lock_holds_what_pyproject_names(text: str) -> None:
    """Otherwise a changed dependency waits for `make lock`, and nobody is told."""
    named = Requirement(text)
    locked = [r for r in REQUIREMENTS if canonicalize_name(r.name) == canonicalize_name(named.name)]
    assert locked, f"{named.name} is not in requirements.lock: run `make lock`"
    for requirement in locked:
        (pin,) = requirement.specifier
        assert named.specifier.contains(pin.version), f"{requirement} is not {named}: run `make lock`"


def test_no_contract_is_excused() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    assert contracts
    for contract in contracts:
        assert not [key for key in contract if "ignore" in key], contract["name"]
        assert contract["type"] != "layers" or contract["exhaustive"] is True, contract["name"]


def test_what_the_package_imports_is_named() -> None:
    """Else it is there only while something else wants it. An import that is not installed is optional."""
    owners = packages_distributions()
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "hexdag_lab").rglob("*.py")
        for statement in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in imported_names(statement)
    }
    named = {canonicalize_name(Requirement(text).name) for text in NAMED} | {"hexdag-lab", "distributed"}
    assert [
        module
        for module in sorted(imported - sys.stdlib_module_names)
        if module in owners and not named & {canonicalize_name(owner) for owner in owners[module]}
    ] == []


def imported_names(statement: ast.AST) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        return [statement.module]
    return []


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="hexdag-lab")
    assert command.value == "hexdag_lab.cli:main"
