"""A table is put between its own marks of a page, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.page import PAGE, publish


def test_what_stands_between_the_marks_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n<!-- y:begin -->\n<!-- y:end -->\n")
    publish("x", "new", page)
    assert page.read_text() == "a\n<!-- x:begin -->\n\nnew\n\n<!-- x:end -->\nb\n<!-- y:begin -->\n<!-- y:end -->\n"


def test_a_page_without_the_marks_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- x:begin -->\n")
    with pytest.raises(ValueError, match="no marks"):
        publish("x", "new", page)
    assert page.read_text() == "<!-- x:begin -->\n"


@pytest.mark.parametrize("name", ["dag", "replica", "makespan", "live"])
def test_the_published_page_has_the_marks_of_each_table(name: str) -> None:
    text = PAGE.read_text("utf-8")
    assert text.count(f"<!-- {name}:begin -->") == text.count(f"<!-- {name}:end -->") == 1
