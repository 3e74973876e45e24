"""`Tape`: what models have answered, kept in a file, so that a rehearsal gets the same answers without any model.

One line of JSON for each answer: the question as it was put, and the answer's bytes as they came. A rehearsal never
asks anybody: a question that is not on the tape is an error that shows the nearest one that is. A question is known by
what it is about (the change, the event, the goal, what was said since), not by the moment of the run, and measured
seconds make no difference: no two runs take equally long.
"""

from __future__ import annotations

import json
import re
import threading
from difflib import SequenceMatcher
from hashlib import sha256
from pathlib import Path

from ..core.base.errors import HexdagError, SchemaError

_SECONDS = re.compile(r"-?\d+(?:\.\d+)? s\b")
SHOWN = 160  #: characters of a question in an error


class NotRecorded(HexdagError):
    """A rehearsal has no answer to a question; says which recorded question is nearest, and where they part."""


class Tape:
    """The answers in a file; made on first use, written as they come."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._played: dict[tuple[str, str], int] = {}

    def record(self, question: str, answer: bytes) -> None:
        """Keep an answer."""
        row = {"question": question, "answer": answer.decode(), "sha256": sha256(answer).hexdigest()}
        line = json.dumps(row, ensure_ascii=False) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def play(self, question: str, take: str = "") -> bytes:
        """The recorded answer, byte for byte; to the same question asked again, the next one, and then the last. Each
        `take`, such as a run, begins anew.

        Raises `NotRecorded`, and `SchemaError` for a tape that is damaged or not there."""
        asked = same(question)
        rows = self._rows()
        found = [answer for recorded, answer in rows if same(recorded) == asked]
        if not found:
            raise NotRecorded(self._nearest(question, [recorded for recorded, _ in rows]))
        with self._lock:
            turn = self._played.get((take, asked), 0)
            self._played[take, asked] = turn + 1
        return found[min(turn, len(found) - 1)]

    def _rows(self) -> list[tuple[str, bytes]]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            text = (
                f"the rehearsal's tape {self.path} cannot be read: {error}; record it first: record={self.path.name!r}"
            )
            raise SchemaError(text) from error
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                question, answer = row["question"], row["answer"].encode()
            except (ValueError, LookupError, AttributeError) as error:
                raise SchemaError(f"line {number} of the tape {self.path} is no recording: {error!r}") from error
            if sha256(answer).hexdigest() != row.get("sha256"):
                raise SchemaError(f"line {number} of the tape {self.path} is damaged: its answer has another hash")
            rows.append((question, answer))
        return rows

    def _nearest(self, question: str, recorded: list[str]) -> str:
        text = f"the tape {self.path} has no answer to this question"
        if not recorded:
            return f"{text}: it is empty"
        likeness = {
            each: SequenceMatcher(None, same(each), same(question), autojunk=False) for each in dict.fromkeys(recorded)
        }
        best = max(likeness, key=lambda each: likeness[each].quick_ratio())
        ours, theirs = _parting(same(question), same(best))
        alike = f"the nearest is {likeness[best].ratio():.0%} alike"
        return f"{text}; {alike}. Asked: {ours!r}. Recorded: {theirs!r}. Record it anew"


def same(question: str) -> str:
    """A question without what differs from run to run by itself."""
    return _SECONDS.sub("# s", question)


def _parting(one: str, other: str) -> tuple[str, str]:
    """Both texts from a little before where they part."""
    pairs = enumerate(zip(one, other, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    begin = max(0, at - SHOWN // 4)
    return one[begin : begin + SHOWN], other[begin : begin + SHOWN]
