"""Times as people say them, and the words of others as a screen may show them: in one line, without control or
bidirectional characters, cut with a mark. Escaping is the markup's own business.
"""

from __future__ import annotations

import re


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds: "01:58"."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def seconds(took: float) -> str:
    """How long something took, as short as it is telling: "12 ms", "2.4 s", "03:20"."""
    if took < 1:
        return f"{took * 1000:.0f} ms" if took else "0 s"
    return f"{took:.1f} s" if took < 100 else clock(took)


def age(passed: float) -> str:
    """How long ago, roughly: "00:40", "3 h", "2 days"."""
    if passed < 3600:
        return clock(max(0.0, passed))
    return f"{passed / 3600:.0f} h" if passed < 86400 else f"{passed / 86400:.0f} days"


def ago(passed: float) -> str:
    """When something was heard of last: "3 s ago", "01:30 ago"."""
    return f"{max(0.0, passed):.0f} s ago" if passed < 60 else f"{age(passed)} ago"


def size(number: float) -> str:
    """Bytes as people say them: "68 MB", "1.5 GB"; powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def clean(text: str, most: int) -> str:
    """Text of an agent for a screen, in one line: no control or bidirectional characters, cut with a mark."""
    line = " ".join(plain(text[: most * 4]).split())
    return line if len(line) <= most and len(text) <= most * 4 else line[: most - 1] + "…"


def plain(text: str) -> str:
    """A line as it stands, but for what would not be shown as it stands: control and bidirectional characters."""
    text = text.expandtabs(8)
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def printed(text: str, most: int) -> str:
    """A line that was meant for a terminal, without its colours."""
    line = plain(ANSI.sub("", text))
    return line if len(line) <= most else line[: most - 1] + "…"


ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
