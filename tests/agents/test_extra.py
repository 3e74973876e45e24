"""The extra for language models is loaded by who uses one, and asked for by name where it is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

import hexdag_lab as hx

SCRIPT = """
import sys
import hexdag_lab as hx
lab = hx.Lab(pool="inline", store="memory://")
lab.add_agent(hx.Agent("voter", vote=lambda context: True))
lab.close()
if importing := [name for name in ("pydantic_ai", "openai", "hexdag_lab.agents.llm") if name in sys.modules]:
    sys.exit(f"loaded: {importing}")
hx.LLMAgent
if importing := [name for name in ("pydantic_ai", "openai") if name in sys.modules]:
    sys.exit(f"loaded: {importing}")
"""


def test_no_model_client_is_loaded_before_the_first_question() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_extra_the_error_has_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "pydantic_ai" else found(name, *more)

    monkeypatch.setattr("hexdag_lab.agents.mind.find_spec", without)
    with pytest.raises(ImportError, match=r"needs the extra llm: pip install 'hexdag-lab\[llm\]'"):
        hx.LLMAgent("reviewer", model="openai:gpt-5-mini")
