"""What YAML's own complaints mean to somebody who writes an intent."""

from __future__ import annotations

import re

import yaml

from refute.core.errors import Problem
from refute.intent.document import shown

_FOLDED = re.compile(r"(?:^|[:\-,\[{]\s*)(?<![\w\"'])(?P<value>>=?\s*[^\s|>+\-#,\]}][^#,\]}\n]*)(?<!\s)")
_RESERVED = re.compile(r"^\s*(?:-\s+)*(?:[\w-]+:\s+)?(?P<value>[@%`*][^\n]*?)\s*$")
_WITH_COLON = re.compile(r"^\s*(?:-\s+)*[\w-]+:\s+(?P<value>[^\s{\[|>&*!'][^\n]*:\s[^\n]*?)\s*$")
_FOLD = (
    "YAML reads a `>` at the start of a value as folded text",
    "a criterion begins with its indicator",
    '`answered >= 95%`, or quotes: ">= 95%"',
)


def unreadable_character(error: yaml.reader.ReaderError, text: str, name: str) -> Problem:
    """Return the problem of a control character in the text."""
    line = text.count("\n", 0, int(error.position)) + 1
    return Problem("FILE-ENCODING", "a control character stands in the file", f"{name}:{line}", seen=f"U+{int(error.character):04X}")


def syntax_problem(error: yaml.MarkedYAMLError, text: str, name: str) -> tuple[int, Problem]:
    """Return the line of text that is no YAML, from 0, and its problem, with the way to quote where that is what it takes."""
    mark = error.problem_mark or error.context_mark
    number = mark.line if mark else 0
    lines = text.splitlines()
    line = lines[number] if number < len(lines) else ""
    code, what, allowed, suggestion = _meaning(error.problem or "", error.context or "", line)
    return number, Problem(code, what, f"{name}:{number + 1}", shown(line.strip()), allowed, suggestion)


def quoted(text: str, number: int) -> str | None:
    """Return the text with the value on one line in quotes, None where quotes are not what it wants.

    Args:
        text: as written.
        number: of the line, from 0.
    """
    lines = text.splitlines(keepends=True)
    line = lines[number] if number < len(lines) else ""
    for value in (_FOLDED, _RESERVED, _WITH_COLON):
        found = value.search(line)
        if found and not set('"\\') & set(found["value"]):
            lines[number] = f'{line[: found.start("value")]}"{found["value"]}"{line[found.end("value") :]}'
            return "".join(lines)
    return None


def _meaning(problem: str, context: str, line: str) -> tuple[str, str, str, str]:
    if "block scalar" in context or "character '>'" in problem:
        return ("YAML-FOLD", *_FOLD)
    if "'\\t'" in problem or "\t" in line[: len(line) - len(line.lstrip())]:
        return "YAML-TAB", "a tab stands where YAML wants spaces", "two spaces a level", ""
    if "single document" in context:
        return "YAML-MANY", "the file holds more than one YAML document", "one document: no second `---`", "`include:` for further files"
    if "undefined alias" in problem or "duplicate anchor" in problem:
        return "YAML-ALIAS", f"an alias or anchor cannot be followed ({problem})", "`&name` once, before `*name`", ""
    if "tag" in context or "tag" in problem:
        return "YAML-TAG", "tags have no meaning in an intent", "plain values", ""
    return _needs_quotes(problem, context)


def _needs_quotes(problem: str, context: str) -> tuple[str, str, str, str]:
    if "mapping values are not allowed" in problem:
        return "YAML-QUOTE", "a colon followed by a space stands inside a value", "text with `: ` in quotes", '"…: …"'
    if "cannot start any token" in problem or "alias" in context or "anchor" in context or "directive" in context:
        return "YAML-QUOTE", "a value begins with a character that means something to YAML", "such a value in quotes", '"…"'
    told = f"{context}, {problem}" if context else problem
    return "YAML-SYNTAX", f"this is not YAML ({told})", "", ""
