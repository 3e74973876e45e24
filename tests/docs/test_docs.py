"""The documentation tells the truth: links lead somewhere, names exist, tables are the code's, programs run as printed.

A page that runs (README.md, docs/tutorials, docs/how-to) is one program. Its ```python blocks run in order in one
process and one namespace, in an empty folder; a block that begins with `# file: NAME` is written to that file instead.
```sh run is a command that must succeed, ```sh background one that is started (and waited for, if it names a `--port`)
and ended with the page. What cannot be run says why in its fence: ```sh shown: needs another host. A ```text block
right after a program or a command is what it prints, "…" standing for anything.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUNNABLE = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("tutorials/*.md")),
    *sorted((ROOT / "docs").glob("how-to/*.md")),
]
#: these take more than a few seconds: `make test-slow` runs them
LONG = {"quickstart.md", "write-a-store.md", "deploy-the-dashboard.md", "secure-it.md"}
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
NAMED = [ARCHITECTURE, ROOT / "docs" / "glossary.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("decisions/*.md")]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# -- links


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    heads = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_the_map_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in PAGES if p.is_relative_to(ROOT / "docs")]
    records = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    missing = [p for p in pages if p != "index.md" and p not in index and Path(p).name not in records]
    assert missing == []


# -- tables and names


def test_the_state_tables_are_those_of_the_code() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))
    assert script["section"](ARCHITECTURE.read_text("utf-8")) == script["tables"](), (
        "run: python docs/make_tables.py --write"
    )


def names_in(page: Path) -> Iterator[str]:
    """`hexdag_lab.core.dag.dag.Dag`, `core/dag/dag.py`, `core/dag/dag.py::Dag.apply`."""
    for word in re.findall(r"`([^`\n]+)`", prose(page)):
        if re.fullmatch(r"hexdag_lab(\.\w+)+|[\w/.-]+\.py(::[\w.]+)?", word):
            yield word


def exists(word: str) -> bool:
    if word.startswith("hexdag_lab."):
        return imported(word)
    path, _, inside = word.partition("::")
    file = next((f for f in (ROOT / "hexdag_lab" / path, ROOT / path) if f.is_file()), None)
    return file is not None and (not inside or defined(ast.parse(file.read_text("utf-8")), inside.split(".")))


def imported(dotted: str) -> bool:
    parts = dotted.split(".")
    found: Any
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def defined(tree: ast.AST, path: list[str]) -> bool:
    """Whether a module defines a function, class or constant; a path goes into classes."""
    for statement in ast.iter_child_nodes(tree):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found = [statement.name]
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        if path[0] in found and (not path[1:] or defined(statement, path[1:])):
            return True
    return False


@pytest.mark.parametrize("page", NAMED, ids=name)
def test_what_is_named_exists(page: Path) -> None:
    assert [word for word in names_in(page) if not exists(word)] == []


def test_the_architecture_names_real_things() -> None:
    assert len(set(names_in(ARCHITECTURE))) > 40


def test_a_name_that_is_gone_is_noticed() -> None:
    assert exists("core/dag/dag.py::Dag.apply")
    assert exists("hexdag_lab.core.dag.dag.Dag.apply")
    assert not exists("core/dag/dag.py::Dag.sublimate")
    assert not exists("core/dag/gone.py")
    assert not exists("hexdag_lab.core.dag.dag.Dag.sublimate")


def test_every_error_is_explained() -> None:
    import hexdag_lab.core.base.errors as errors

    page = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
    kinds = [kind for kind, value in vars(errors).items() if isinstance(value, type) and kind.endswith(KINDS)]
    assert kinds
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []


KINDS = ("Error", "Node", "Name", "Parameter", "Mismatch", "Refused", "Allowed", "Decided", "Base", "Block", "Failed",
         "Finished", "Unavailable", "Use")  # fmt: skip


# -- programs


class Block(NamedTuple):
    """A block of code in a page: the words after its fence, its text, and the text that it has to print."""

    words: str
    text: str
    prints: str | None


def blocks(page: str) -> list[Block]:
    found: list[Block] = []
    fence = re.compile(r"(?ms)^```(\w[^\n]*)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?")
    for words, text, prints in fence.findall(page):
        found.append(Block(words, text, prints or None))
    return found


PRELUDE = """\
def _sh(command, background=False):
    import subprocess, sys
    sys.stdout.flush()
    if background:
        subprocess.Popen(command, shell=True, executable="/bin/bash", stdout=2)
        return _wait_for_ports(command)
    done = subprocess.run(command, shell=True, executable="/bin/bash", stderr=subprocess.STDOUT)
    assert not done.returncode, f"this ended with {done.returncode}: {command}"

def _wait_for_ports(command):
    import re, socket, time
    for port in re.findall(r"--port (\\d+)", command):
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.1)

"""
MARK = "--- block {} ---"


def program(parts: list[Block], folder: Path) -> str:
    """The blocks of a page as one program that prints a mark before each."""
    lines = [PRELUDE]
    for number, block in enumerate(parts):
        if block.words == "python" and (file := re.match(r"# file: (\S+)\n", block.text)):
            (folder / file[1]).write_text(block.text, "utf-8")
            continue
        lines.append(f"print({MARK.format(number)!r}, flush=True)\n")
        if block.words == "python":
            lines.append(block.text)
        elif block.words in ("sh run", "sh background"):
            lines.append(f"_sh({block.text!r}, {block.words == 'sh background'})\n")
    return "".join(lines)


def pattern(text: str) -> re.Pattern[str]:
    """A text in which "…" stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in text.strip().split("…")), re.DOTALL)


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_what_is_not_run_says_why(page: Path) -> None:
    run_or_data = re.compile(r"python|sh run|sh background|text|yaml|mermaid|\w+ shown: \w.+")
    assert [b for b in blocks(page.read_text("utf-8")) if not run_or_data.fullmatch(b.words)] == []


@pytest.mark.dask
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow if page.name in LONG else ()) for page in RUNNABLE], ids=name
)
def test_the_page_runs_as_printed(page: Path, tmp_path: Path) -> None:
    source = re.sub(r"\b8786\b", str(free_port()), page.read_text("utf-8"))
    parts = blocks(source)
    assert any(block.words == "python" for block in parts)
    (tmp_path / "page.py").write_text(program(parts, tmp_path), "utf-8")
    printed = run(tmp_path, seconds=110 if page.name in LONG else 60)
    for number, block in enumerate(parts):
        if block.prints is not None:
            own = printed.partition(MARK.format(number))[2].partition("--- block ")[0].strip()
            assert pattern(block.prints).fullmatch(own), f"instead of\n{block.prints}\nit printed\n{own}"


def run(folder: Path, seconds: float) -> str:
    """What `page.py` prints. All that it starts ends with it."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": f"{ROOT}", "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
    with (folder / "printed").open("w+") as out, (folder / "said").open("w+") as err:
        page = subprocess.Popen(
            [sys.executable, "page.py"], cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = page.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(page.pid, signal.SIGKILL)
            page.wait()
        printed, said = ((folder / name).read_text("utf-8") for name in ("printed", "said"))
    assert code == 0, f"{printed}\n{said[-5000:]}"
    return printed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
