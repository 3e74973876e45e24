"""A run's widget where VS Code shows it, as far as that goes without VS Code: a page with the editor's variables and
classes and none of JupyterLab's, white below widgets as its Jupyter extension lays it, and Jupyter's own widgets
outside of JupyterLab, which npm brings. The page's kernel is what the test plays to it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipywidgets.embed import dependency_state

import hexdag_lab as hx
from hexdag_lab.views.visit import Identity, Visit
from hexdag_lab.views.widget import RunWidget
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report
from tests.runtime.kit import until

from .conftest import Pages, computed, packed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ANYWIDGET = Path(sys.prefix) / "share" / "jupyter" / "nbextensions" / "anywidget" / "index.js"
THEMES = {"vscode-dark": ("#1f1f1f", "#cccccc"), "vscode-light": ("#ffffff", "#3b3b3b")}  #: editor, text
PAGE = """<!doctype html><meta charset="utf-8"><style>
:root {{ --vscode-editor-background: {under}; --vscode-editor-foreground: {text} }}
html {{ background: {under} }}
body {{ background: transparent; color: var(--vscode-editor-foreground); font-family: sans-serif }}
.cell-output-ipywidget-background {{ background: white !important }}
</style><body class="{theme}">
<div class="cell-output-ipywidget-background"><div id="out"></div></div>
<script src="require.js"></script><script src="embed.js"></script><script>
requirejs.config({{ paths: {{ anywidget: "anywidget" }} }});
const load = (name) => new Promise((done, failed) => requirejs([name], done, failed));
window.shown = load("@jupyter-widgets/html-manager").then(async ({{ HTMLManager }}) => {{
  const manager = new HTMLManager({{ loader: load }});
  await manager.set_state({{ version_major: 2, version_minor: 0, state: {state} }});
  const root = await manager.get_model("{root}"), graph = await manager.get_model("{graph}");
  await manager.display_view(await manager.create_view(root), document.getElementById("out"));
  window.tell = (message) => graph.trigger("msg:custom", message, []);
}});
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jupyter's widgets for a page of any kind."""
    home = tmp_path_factory.mktemp("site")
    (home / "require.js").write_text(packed("requirejs@2.3.8", "require.js", home))
    (home / "embed.js").write_text(packed("@jupyter-widgets/html-manager@1.0.15", "dist/embed-amd.js", home))
    (home / "anywidget.js").write_text(ANYWIDGET.read_text("utf-8"))
    return home


@pytest.fixture
def widget() -> Iterator[RunWidget]:
    """A run with an open proposal, in a cell."""
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        gates.reset()
        lab.add_agent(hx.Agent("critic"))
        run = lab.start(hx.Dag.of(load, fit.after("load"), held.after("load")))
        until(lambda: (run.nodes["fit"].state, run.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
        run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="critic", reason="one more look")
        made = RunWidget(run, Visit(lab, Identity("dana", "notebook")))
        until(lambda: made.cards)
        yield made
        made.close()
        gates.reset()


@pytest.mark.parametrize("theme", THEMES)
def test_all_of_it_is_there_and_can_be_read_in_the_editors_theme(
    site: Path, widget: RunWidget, pages: Pages, theme: str
) -> None:
    under, text = THEMES[theme]
    state = json.dumps(dependency_state(widget, drop_defaults=False)).replace("</", "<\\/")
    file = site / f"{theme}.html"
    file.write_text(
        PAGE.format(under=under, text=text, theme=theme, state=state, root=widget.model_id, graph=widget.graph.model_id)
    )
    page = pages.open(file.as_uri())
    page.evaluate("shown")
    page.locator("canvas").wait_for()
    (snapshot,) = widget.graph._stream.hello(widget._feed.state)
    page.evaluate("(message) => tell(message)", snapshot)
    page.get_by_text("running 1").wait_for()
    for name in ("Approve", "Reject", "Request changes", "Edit first", "Table", "SVG"):
        assert page.get_by_role("button", name=name, exact=True).is_visible(), name
    for place in ("b.status", "q", "[role=toolbar]", "[role=toolbar] + *"):
        seen = computed(page.locator(place).first, "color")
        assert contrast(rgb(seen), rgb_of(under)) >= 4.5, f"{place} is written in {seen} on {under}"
    below = computed(page.locator(".cell-output-ipywidget-background"), "backgroundColor")
    assert below == "rgba(0, 0, 0, 0)", "the editor's own background shows through"
    page.get_by_role("button", name="Edit first").is_enabled()
    assert [url for url in pages.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert pages.errors == []


def rgb(css: str) -> tuple[float, ...]:
    return tuple(float(number) for number in css[css.index("(") + 1 : -1].split(",")[:3])


def rgb_of(code: str) -> tuple[float, ...]:
    return tuple(int(code[k : k + 2], 16) for k in (1, 3, 5))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The ratio of WCAG 2: 1 to 21; text needs 4.5."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[float, ...]) -> float:
    parts = [c / 255 / 12.92 if c <= 10.3 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))
