"""Needs of nodes and capabilities of workers as Dask resources."""

from __future__ import annotations

import pytest

from hexdag_lab.worker.needs import UNLIMITED, needed, offered


def test_a_need_takes_one_and_a_label_nothing() -> None:
    assert needed({"gpu", "region:eu"}) == {"gpu": 1.0, "region:eu": 0.0}
    assert needed(()) is None


def test_a_capability_without_a_number_is_no_bottleneck() -> None:
    assert offered(["llm", "gpu=2", "region:eu"]) == {"llm": UNLIMITED, "gpu": 2.0, "region:eu": UNLIMITED}


@pytest.mark.parametrize("text", ["", "=1", "gpu=", "gpu=many", "gpu=0", "gpu=nan", "gpu=inf", " gpu", "region:eu=2"])
def test_what_is_no_capability_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no capability; write a name as gpu, a count as gpu=2, a label as region:"):
        offered([text])
