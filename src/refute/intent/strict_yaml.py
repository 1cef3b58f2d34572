"""YAML, read strictly: duplicate keys, silent conversions, bombs and unquoted traps are told, each with its line."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from refute.core.errors import Problem
from refute.intent.document import Document, Steps, shown
from refute.intent.yaml_errors import quoted, syntax_problem, unreadable_character

MAX_NODES = 20_000
MAX_DEPTH = 32
MAX_REPAIRS = 100

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,15})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?")


class _UnusableError(Exception):
    """No intent can be made of this tree; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


def parse(text: str, name: str) -> Document:
    """Read YAML text into a document with places.

    Args:
        text: one YAML document.
        name: how the file is shown in messages.

    Returns:
        The document; `data` is None where it is empty or cannot be read, which `problems` then tell. A value that only wants quotes
        is told and read as if it had them, so that the rest of the file can be read.
    """
    document = Document(None)
    repaired: set[int] = set()
    for _ in range(MAX_REPAIRS):
        line = _read(text, name, document, repaired)
        better = None if line is None else quoted(text, line)
        if line is None or better is None:
            break
        repaired.add(line)
        text = better
    return document


def _read(text: str, name: str, document: Document, repaired: set[int]) -> int | None:
    """Read the text into the document; return the line that is no YAML, None where there is none.

    Args:
        text: as written, or with values put in quotes.
        name: of the file.
        document: takes data, places and problems.
        repaired: lines whose values were put in quotes, from 0: told already.
    """
    try:
        node = yaml.SafeLoader(text).get_single_node()
        if node is not None:
            document.data = _Tree(document, name, repaired).value(node, ())
    except yaml.reader.ReaderError as error:
        document.problems.append(unreadable_character(error, text, name))
    except yaml.MarkedYAMLError as error:
        line, problem = syntax_problem(error, text, name)
        if line not in repaired:
            document.problems.append(problem)
        return line
    except RecursionError:
        document.problems.append(_too_deep(name))
    except _UnusableError as error:
        document.problems.append(error.problem)
    return None


def _too_deep(where: str) -> Problem:
    return Problem("YAML-DEEP", "the values are nested too deeply", where, allowed=f"at most {MAX_DEPTH} levels")


class _Tree:
    """Turns nodes into plain values, noting places and traps in the document."""

    def __init__(self, document: Document, name: str, told: set[int]) -> None:
        self._document = document
        self._name = name
        self._told = told
        self._nodes = 0

    def value(self, node: Node, steps: Steps, key: Node | None = None) -> Any:
        """Return a node's plain value."""
        self._guard(node, steps)
        block = isinstance(node, MappingNode | SequenceNode) and not node.flow_style
        self._document.places[steps] = self._place(key if block and key is not None else node)
        if isinstance(node, ScalarNode):
            if node.start_mark.line in self._told:
                self._document.marred.add(steps)
            return self._scalar(node, steps)
        if node.tag not in {f"{_TAG}seq", f"{_TAG}map"}:
            self._tell_tag(node, steps)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*steps, number)) for number, item in enumerate(node.value)]
        return self._mapping(node, steps)

    def _guard(self, node: Node, steps: Steps) -> None:
        self._nodes += 1
        if isinstance(node, ScalarNode) and _SURROGATE.search(node.value):
            what, allowed = "half of a surrogate pair is no character", "the character itself, or \\U and eight digits"
            raise _UnusableError(Problem("FILE-ENCODING", what, self._place(node), shown(node.value), allowed))
        if len(steps) > MAX_DEPTH:
            raise _UnusableError(_too_deep(self._place(node)))
        if self._nodes > MAX_NODES:
            what = "the file holds too many values, its aliases followed"
            raise _UnusableError(Problem("YAML-ALIAS", what, self._place(node), allowed=f"at most {MAX_NODES} values"))

    def _mapping(self, node: Node, steps: Steps) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, str] = {}
        merged: list[Node] = []
        for key, child in node.value:
            if key.tag == f"{_TAG}merge":
                merged.append(child)
                continue
            self._guard(key, steps)
            name = self._key(key, steps)
            if name in lines:
                what = f"the key `{name}` stands twice in one mapping"
                self._tell("YAML-TWICE", what, key, (*steps, name), allowed=f"once; it already stands at {lines[name]}")
                continue
            lines[name] = self._place(key)
            found[name] = self.value(child, (*steps, name), key)
        for child in merged:
            self._merge(child, found, steps)
        return found

    def _merge(self, node: Node, found: dict[str, Any], steps: Steps) -> None:
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(source, MappingNode):
                self._tell(
                    "YAML-ALIAS", "`<<` merges a mapping", source, (*steps, "<<"), allowed="`<<: *name` where `&name` marks a mapping"
                )
                continue
            for key, child in source.value:
                name = self._key(key, steps)
                if name not in found:
                    found[name] = self.value(child, (*steps, name), key)

    def _key(self, node: Node, steps: Steps) -> str:
        if not isinstance(node, ScalarNode):
            self._tell("YAML-KEY", "a key is a single word", node, (*steps, ""))
            return ""
        if node.style is None and node.tag == f"{_TAG}bool":
            what = f"YAML reads the key `{node.value}` as a boolean, not as a name"
            self._tell("YAML-BOOL", what, node, (*steps, node.value), node.value, suggestion=f'"{node.value}":')
        elif node.style is None and node.tag not in {f"{_TAG}str", f"{_TAG}value"}:
            what = "YAML reads this key as a number, a date or nothing, not as a name"
            self._tell("YAML-KEY", what, node, (*steps, node.value), node.value, suggestion=f'"{node.value}":')
        return str(node.value)

    def _scalar(self, node: ScalarNode, steps: Steps) -> Any:
        text = str(node.value)
        if node.tag == f"{_TAG}str" or (node.style is not None and node.tag.startswith(_TAG)):
            return text
        if node.tag == f"{_TAG}null":
            return None
        if node.tag == f"{_TAG}bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if node.tag == f"{_TAG}int" and _INTEGER.fullmatch(text):
            return int(text)
        if node.tag == f"{_TAG}float" and _FLOAT.fullmatch(text):
            return float(text)
        self._trap(node, text, steps)
        return text

    def _trap(self, node: ScalarNode, text: str, steps: Steps) -> None:
        quoted = f'"{text}"'
        if node.tag == f"{_TAG}bool":
            what = f"YAML reads `{text}` as a boolean, not as text"
            self._tell(
                "YAML-BOOL",
                what,
                node,
                steps,
                text,
                allowed="true or false; text in quotes",
                suggestion=f"{_meant(text)}, or {quoted} as text",
            )
        elif node.tag in {f"{_TAG}int", f"{_TAG}float"}:
            what = f"YAML reads `{text}` as {_misread_number(text)}"
            self._tell("YAML-NUMBER", what, node, steps, text, allowed="a plain decimal number; text in quotes", suggestion=quoted)
        elif node.tag == f"{_TAG}timestamp":
            what = f"YAML reads `{text}` as a date, not as text"
            self._tell("YAML-DATE", what, node, steps, text, allowed="dates in quotes", suggestion=quoted)
        elif node.tag == f"{_TAG}value":
            self._tell("YAML-QUOTE", "YAML gives a lone `=` a meaning of its own", node, steps, text, suggestion=quoted)
        else:
            self._tell_tag(node, steps)

    def _tell_tag(self, node: Node, steps: Steps) -> None:
        self._tell("YAML-TAG", "tags have no meaning in an intent", node, steps, shown(node.tag), allowed="plain values")

    def _tell(self, code: str, what: str, node: Node, steps: Steps, seen: str = "", **fields: str) -> None:
        self._document.problems.append(Problem(code, what, self._place(node), seen, **fields))
        self._document.marred.add(steps)

    def _place(self, node: Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"


def _meant(text: str) -> str:
    return "true" if text.lower() in {"yes", "on"} else "false"


def _misread_number(text: str) -> str:
    digits = text.lstrip("+-").lower()
    if ":" in text:
        return "a number in base 60, not as a time"
    if digits.startswith(("0x", "0b")) or (digits.startswith("0") and digits.isdigit()):
        return "an octal, binary or hexadecimal number"
    return "a number in a form that people misread"
