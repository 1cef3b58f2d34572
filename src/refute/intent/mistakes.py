"""What the models found wrong, in words: every mistake with its place, what was found and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from refute.core.errors import Problem
from refute.intent.document import Document, Steps, closest, label, listed, shown
from refute.intent.shape import ONE, SEVERAL

_WANTED = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping of names",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
}


def problems_of(error: ValidationError, document: Document, schema: dict[str, Any]) -> list[Problem]:
    """Return a problem for each mistake, in the order of the file.

    Args:
        error: what the models found.
        document: the file, for places.
        schema: JSON Schema of the models, for the keys that are known.
    """
    found = list(_problems(error, document, schema))
    return [problem for number, problem in enumerate(found) if problem not in found[:number]]


def _problems(error: ValidationError, document: Document, schema: dict[str, Any]) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        steps: Steps = tuple(step for step in detail["loc"] if step not in {ONE, SEVERAL})
        if len(steps) > 1 and steps[-1] == "[key]":  # how pydantic says that the name itself is meant
            steps = steps[:-1]
        if not document.is_marred(steps):
            yield _problem(detail, steps, document, schema)


def _problem(detail: ErrorDetails, steps: Steps, document: Document, schema: dict[str, Any]) -> Problem:
    kind, where, name = detail["type"], document.where(steps), f"`{label(steps)}`"
    context: dict[str, Any] = detail.get("ctx", {})
    seen = shown(detail["input"])
    if "what" in context:
        fields = {key: context[key] for key in ("allowed", "suggestion", "next") if key in context}
        return Problem(kind, f"{name} {context['what']}", where, "" if isinstance(detail["input"], dict) else seen, **fields)
    if kind == "missing":
        return Problem("KEY-MISSING", f"{name} is missing", where, allowed=_meaning(schema, steps))
    if kind == "extra_forbidden":
        known = _keys(schema, steps[:-1])
        return Problem("KEY-UNKNOWN", f"there is no key {name}", where, str(steps[-1]), listed(known, 20), closest(str(steps[-1]), known))
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"]) or ["true"]
        what = f"{name} is none of the words known here"
        return Problem("VALUE-CHOICE", what, where, seen, listed(words, 20), closest(seen, words))
    return _misshapen(kind, name, where, detail)


def _misshapen(kind: str, name: str, where: str, detail: ErrorDetails) -> Problem:
    seen = shown(detail["input"])
    if kind in {"string_too_short", "too_short"}:
        return Problem("VALUE-EMPTY", f"{name} is empty", where, allowed="at least one entry" if kind == "too_short" else "some text")
    if kind in {"string_pattern_mismatch", "string_too_long"}:
        allowed = "a letter, then at most 79 letters, digits, - and _"
        return Problem("NAME-SYNTAX", f"{name} is no name", where, seen, allowed, re.sub(r"[^A-Za-z0-9_]+", "-", seen).strip("-"))
    if kind == "greater_than_equal":
        return Problem("VALUE-RANGE", f"{name} is too small", where, seen, f"at least {detail['ctx']['ge']}")
    return _mistyped(kind, name, where, detail["input"], detail["msg"])


def _mistyped(kind: str, name: str, where: str, value: Any, told: str) -> Problem:
    wanted = _WANTED.get(kind, told)
    suggestion = ""
    if wanted == "a list" and isinstance(value, str):
        suggestion = f"[{shown(value)}]"
    elif wanted == "text" and isinstance(value, int | float):
        suggestion = f'"{shown(value)}"'
    return Problem("VALUE-TYPE", f"{name} is not {wanted}", where, shown(value), wanted, suggestion)


def _keys(schema: dict[str, Any], steps: Steps) -> list[str]:
    properties = _inside(schema, steps).get("properties", {})
    return [name for name, about in properties.items() if "not" not in about]


def _meaning(schema: dict[str, Any], steps: Steps) -> str:
    about = _inside(schema, steps)
    examples = about.get("examples", [])
    text = str(about.get("description", "")).rstrip(".")
    return f"{text}; such as {examples[0]}" if examples else text


def _inside(schema: dict[str, Any], steps: Steps) -> dict[str, Any]:
    here = schema
    for step in steps:
        if isinstance(step, int):
            forms = [here, *here.get("oneOf", [])]
            here = next((form["items"] for form in forms if "items" in form), _resolved(schema, here).get("items", {}))
            continue
        here = _resolved(schema, here)
        named = here.get("properties", {}).get(step)
        here = named if named is not None else next(iter(here.get("patternProperties", {}).values()), {})
    return _resolved(schema, here)


def _resolved(schema: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    for option in [*here.get("anyOf", []), *here.get("oneOf", [])]:
        if "$ref" in option:
            here = option
    if "$ref" in here:
        return {**schema["$defs"][str(here["$ref"]).rpartition("/")[2]], **here}
    return here
