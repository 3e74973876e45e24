"""What pages are made of in Panel: the live graph, text that changes, buttons that can be read, a column that grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import AnyWidgetComponent
from panel.io.notebook import patch_inline_stylesheets

from ..core.machine.state import RunState
from .graph import Stream
from .html import STYLE
from .module import graph_module

READABLE = (Path(__file__).parent / "static" / "panel.css").read_text("utf-8")
#: Panel shows a text by itself, also on a page that is hidden: keys would reach what nobody sees.
HIDDEN_WITH_ITS_PAGE = ":host > div { visibility: inherit !important }"


class GraphPane(AnyWidgetComponent):
    """The live graph of whatever run it is given states of."""

    _esm = graph_module()

    theme = param.String(default="", doc='"light", "dark", or empty: as the page around it')
    said = param.Dict(default={}, doc="what the view says: {t: 'hello'} or {t: 'select', node}")

    def __init__(self, selected: Callable[[str | None], None], **params: Any) -> None:
        super().__init__(**params)
        self._stream = Stream()
        self._state: RunState | None = None
        self._selected = selected
        self.param.watch(self._heard, "said")

    def _heard(self, event: Any) -> None:
        data = event.new
        if data.get("t") == "hello" and self._state is not None:
            for message in self._stream.hello(self._state):
                self.send(message)
        elif data.get("t") == "select":
            self._selected(data.get("node"))

    def draw(self, state: RunState) -> None:
        """Send what has changed; with the document locked."""
        first, self._state = self._state is None, state
        for message in self._stream.hello(state) if first else self._stream.update(state):
            self.send(message)


class Keys(AnyWidgetComponent):
    """Deciding by keyboard, and the box that turns it off."""

    _esm = (Path(__file__).parent / "static" / "keys.js").read_text("utf-8")


class TimeSlider(AnyWidgetComponent):
    """Which event a run is shown after: 1 to `end`."""

    _esm = (Path(__file__).parent / "static" / "time.js").read_text("utf-8")

    value = param.Integer(default=2)
    end = param.Integer(default=2)


class Html(pn.pane.HTML):
    """HTML of which only the text changes: Panel would send the styles again with it, in a notebook by addresses of
    another host."""

    def __init__(self, text: str = "", **params: Any) -> None:
        params.setdefault("sizing_mode", "stretch_width")
        super().__init__(text, stylesheets=[STYLE, HIDDEN_WITH_ITS_PAGE, *params.pop("stylesheets", ())], **params)

    def _update(self, ref: str, model: Any) -> None:
        properties = self._get_properties(model.document)
        properties.pop("stylesheets", None)
        model.update(**properties)

    def put(self, text: str) -> None:
        """Show another text; what is shown already is not sent again."""
        if self.object != text:
            self.object = text


class Stack(pn.Column):
    """A column whose content changes while it is shown. In a notebook Panel takes the styles of what is there at first
    from its own files, and those of all that comes later from another host; here they are never from there."""

    def _get_objects(self, model: Any, old_objects: Any, doc: Any, root: Any, comm: Any = None) -> Any:
        found = super()._get_objects(model, old_objects, doc, root, comm)
        if comm is not None:
            for child in found[0]:
                for part in child.references():
                    if hasattr(part, "stylesheets"):
                        patch_inline_stylesheets(part)
        return found


def button(label: str, pressed: Callable[[], None], kind: str = "", **params: Any) -> Any:
    """A button. `kind`: "success" for what one is expected to press, "danger", or nothing special."""
    classes = [*params.pop("css_classes", ()), *([kind] if kind else [])]
    made = pn.widgets.Button(name=label, stylesheets=[READABLE], margin=(3, 8, 3, 0), css_classes=classes, **params)
    made.on_click(lambda _: pressed())
    return made
