"""YAML as JSON would be: what a graph kept in git is read with.

YAML can do more than a graph needs, and some of it is dangerous in text from anybody: there are no tags, no references
(ten lines of them unfold into gigabytes), no key twice, and only numbers as JSON has them.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import yaml

from ..base.canon import check_depth
from ..base.errors import SchemaError

DEEPEST = 100  #: levels, of which a parameter's value may have 64
_PREFIX = "tag:yaml.org,2002:"


def loads(text: str | bytes) -> Any:
    """The data in a YAML text; raises `SchemaError` with its line."""
    if not isinstance(text, str | bytes):
        raise SchemaError(f"a graph is read from text, not from {type(text).__name__}")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except SchemaError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SchemaError(f"this is not YAML: {' '.join(str(error).split())}") from error
    return None if node is None else _data(node, 0)


class _Loader(yaml.SafeLoader):
    """Reads no references."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise SchemaError(f"{_line(event)}: a graph has no references (*{event.anchor}): write it out")
        return super().compose_node(parent, index)


def _line(thing: Any) -> str:
    return f"line {thing.start_mark.line + 1}"


def _data(node: Any, depth: int) -> Any:
    check_depth(depth, DEEPEST)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in (_PREFIX + "seq", _PREFIX + "map"):
        raise SchemaError(f"{_line(node)}: a graph has no tags ({node.tag})")
    if isinstance(node, yaml.SequenceNode):
        return [_data(item, depth + 1) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(node)
    found: dict[str, Any] = {}
    for key_node, value in node.value:
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise SchemaError(f"{_line(key_node)}: a key is text, not {key_node.value!r}: put it in quotes")
        if key in found:
            raise SchemaError(f"{_line(key_node)}: the key {key!r} stands twice in one object")
        found[key] = _data(value, depth + 1)
    return found


def _scalar(node: Any) -> Any:
    text: str = node.value
    match node.tag.removeprefix(_PREFIX):
        case "str" | "timestamp" | "merge" | "value":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on")
        case "int" if re.fullmatch(r"[-+]?\d{1,4000}", text):
            return int(text)
        case "float" if re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", text) and isfinite(float(text)):
            return float(text)
        case "int" | "float":
            raise SchemaError(f"{_line(node)}: {text} is not a finite number as JSON has them; text goes in quotes")
    raise SchemaError(f"{_line(node)}: a graph has no tags ({node.tag})")
