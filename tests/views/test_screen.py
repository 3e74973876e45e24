"""When pages are changed: not before a browser shows them, not after it is gone, and by one thread at a time."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest
from bokeh.document import Document
from panel.io.model import add_to_doc
from panel.io.state import state
from pyviz_comms import Comm

from hexdag_lab.views import screen
from hexdag_lab.views.pane import Html
from hexdag_lab.views.screen import Cell, Garbage, Screen, of_session


def test_what_comes_before_it_is_shown_is_done_then_once_and_in_order() -> None:
    done: list[str] = []
    screen = Screen()

    def twice() -> None:
        done.append("asked twice")

    screen.do(twice)
    screen.do(lambda: done.append("second"))
    screen.do(twice)
    assert done == []
    screen.open()
    screen.do(lambda: done.append("at once"))
    assert done == ["asked twice", "second", "at once"]


def test_what_comes_while_it_is_shown_once_more_waits_again() -> None:
    done: list[str] = []
    screen = Screen()
    screen.open()
    screen.hold()
    screen.do(lambda: done.append("between"))
    assert done == []
    screen.open()
    assert done == ["between"]


def test_what_changes_while_a_session_ends_changes_nothing_and_raises_nothing() -> None:
    document, done = Document(), []
    screen = of_session(document)
    screen.do(lambda: done.append("early"))
    screen.open()
    assert done == ["early"]
    document.callbacks.destroy()  # as Bokeh does before it says that the session has ended
    screen.do(lambda: done.append("late"))
    assert done == ["early"]


class Circle:
    """As pages: it refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_closed_pages_leave_behind_is_looked_for_once_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [weakref.ref(Circle()) for _ in range(2)]
    looked: list[int] = []

    async def close_both() -> None:
        collect, done = gc.collect, asyncio.Event()

        def look() -> None:
            looked.append(collect())
            done.set()

        monkeypatch.setattr(screen, "MOMENT", 0.01)
        monkeypatch.setattr(gc, "collect", look)
        garbage = Garbage()
        for _ in left:
            garbage.collect_soon()
        await asyncio.wait_for(done.wait(), 10)
        await asyncio.sleep(0.05)  # a second look would come by now

    asyncio.run(close_both())
    assert len(looked) == 1
    assert [ref() for ref in left] == [None, None]


class Wire(Comm):
    """A way to a browser that is slow enough for another thread to come between two messages."""

    def __init__(self) -> None:
        super().__init__()
        self._comm = True
        self.senders: list[int] = []

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = ()) -> None:
        self.senders.append(threading.get_ident())
        time.sleep(0.0005)


class Said:
    """What a browser says, as Panel takes it apart."""

    def assemble(self, text: Html) -> Any:
        self._text = text
        return self

    def apply_to_document(self, document: Document, setter: Any) -> None:
        self._text.put(self._text.object + "!")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr("panel.viewable.patch_cds_msg", lambda *_: None)  # what this browser says is no such message
    return Wire()


def shown(cell: Cell, wire: Wire) -> str:
    """Its document, as in a notebook's output: changes are kept until Panel sends them over the wire."""
    document = Document()
    root = cell.get_root(document, wire)
    add_to_doc(root, document, hold=True)
    ref: str = root.ref["id"]
    return ref


def test_a_cell_that_is_not_shown_yet_is_sent_nothing_and_then_all(wire: Wire) -> None:
    text = Html("as it was")
    cell = Cell(text)
    ref = shown(cell, wire)
    cell.screen.do(lambda: text.put("newer"))
    assert (text.object, wire.senders) == ("as it was", [])
    cell._on_msg(ref, Said(), text)
    assert text.object == "newer"
    assert wire.senders
    del state._views[ref]


def test_messages_of_one_change_are_never_mixed_with_those_of_another_thread(wire: Wire) -> None:
    ours, heard = Html("ours"), Html("heard")
    cell = Cell(ours, heard)
    ref = shown(cell, wire)
    cell.screen.open()

    def follow(name: str) -> None:
        for number in range(20):
            cell.screen.do(lambda n=number: ours.put(f"{name} {n}"))

    def hear() -> None:
        for _ in range(20):
            cell._on_msg(ref, Said(), heard)

    threads = [threading.Thread(target=follow, args=(name,)) for name in "ab"] + [threading.Thread(target=hear)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(wire.senders)) == 3, "each thread has sent something"
    messages = [wire.senders[start : start + 3] for start in range(0, len(wire.senders), 3)]
    assert all(len(set(message)) == 1 for message in messages), "header, metadata and content follow each other"
    assert len(wire.senders) == 3 * 60
    del state._views[ref]
