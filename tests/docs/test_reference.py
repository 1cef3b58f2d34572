"""The reference pages are written by what they describe: models, command line, catalogue.

`REFUTE_WRITE_DOCS=1` rewrites them.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic_core import PydanticUndefined

from refute.cli import VERBS, group
from refute.core.units import show_seconds
from refute.faults.catalogue import catalogue
from refute.faults.preview import protocols_of
from refute.faults.spec import Fault, seams
from refute.intent.part import Part
from refute.intent.schema import intent_schema
from refute.intent.shape import IntentShape

REFERENCE = Path(__file__).parents[2] / "docs/reference"
BEGIN, END = "<!-- written by tests/docs/test_reference.py -->\n", "<!-- end -->\n"
WRITTEN = {
    "30%": "percentage", "30 s": "duration", "5/s": "rate", "0.40 USD": "money", "0.60 USD per 1M": "price",
    "app.main:answer": "`module:function`",
    "http://127.0.0.1:8000/ask": "URL", "http://127.0.0.1:8000/v1": "URL, `tcp://HOST:PORT` or `stdio://NAME`",
    "tls://10.0.0.2:7443": "`tls://HOST:PORT`", "exec shop": "`proxy` or `exec NAME`", "accuracy=([0-9.]+)": "regular expression",
    "calls": "`calls`, `spans` or `module:function`",
    "free": "text or number, or a list of them", "answered >= 95%": "criterion", "2 s": "number with the fault's unit",
}  # fmt: skip
"""What a value is called on the page, by the first example in the schema."""


# The intent file: one table a mapping, in the order of the file


def key_tables() -> str:
    return "\n".join(part_of(model, title) for model, title in parts())


def parts() -> Iterator[tuple[type[Part], str]]:
    """Every mapping of the file, from the top down, with its place."""
    waiting: list[tuple[type[Part], str]] = [(IntentShape, "")]
    while waiting:
        model, place = waiting.pop(0)
        yield model, place
        nested = [(part, f"{place}.{name}{several}".lstrip(".")) for name, part, several in parts_within(model)]
        waiting = [*nested, *waiting]


def parts_within(model: type[Part]) -> Iterator[tuple[str, type[Part], str]]:
    for name, field in model.model_fields.items():
        told = str(field.annotation)
        found = next((part for part in all_parts() if f".{part.__name__}" in told or field.annotation is part), None)
        if found is not None:
            yield name, found, ".NAME" if "dict[" in told else "[]" if "list[" in told and "Tag(" not in told else ""


def all_parts() -> list[type[Part]]:
    return Part.__subclasses__()


def part_of(model: type[Part], place: str) -> str:
    heading = f"### {place}" if place else "### The top"
    schema = model.model_json_schema()
    rows = [row(model, name, schema) for name in model.model_fields]
    one = f"\nExactly one of {', '.join(f'`{name}`' for name in model.exactly_one_of)}.\n" if model.exactly_one_of else ""
    table = "\n".join(["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows])
    return f"{heading}\n\n{inspect.getdoc(model)}\n{one}\n{table}\n"


def row(model: type[Part], name: str, schema: dict[str, Any]) -> str:
    field = model.model_fields[name]
    about = schema["properties"][field.alias or name]
    value = value_of(about, schema)
    if value == "not yet":
        return f"| `{field.alias or name}` | not yet | | {about['description']} |"
    default = "required" if field.is_required() else default_of(field.default, about)
    if name in model.exactly_one_of:
        default = "one of"
    return f"| `{field.alias or name}` | {value} | {default} | {(field.description or '').replace('|', chr(92) + '|')} |"


def value_of(about: dict[str, Any], schema: dict[str, Any]) -> str:
    match about:
        case {"not": _}:
            told = "not yet"
        case {"$ref": ref}:
            target = schema["$defs"][ref.rpartition("/")[2]]
            told = value_of(target, schema) if "enum" in target else "mapping"
        case {"anyOf": several} | {"oneOf": several}:
            told = ", or ".join(value_of(one, schema) for one in several if one.get("type") != "null")
        case {"const": value}:
            told = code(value)
        case {"enum": words}:
            told = ", ".join(map(code, words))
        case {"examples": [first, *_]}:
            told = WRITTEN[first]
        case {"type": "array", "items": items}:
            told = f"list of {value_of(items, schema)}"
        case {"pattern": pattern} if "[A-Z]{3}" in pattern:
            told = "money"
        case _:
            told = {"boolean": "`true` or `false`", "object": "mapping by name", "integer": "whole number", "string": "text"}[about["type"]]
    return told


def code(value: Any) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def default_of(value: Any, about: dict[str, Any]) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, Part):
        return "see below"
    if isinstance(value, float):
        examples = about.get("examples", ["%"])
        return f"`{value:.0%}`" if examples[0].endswith("%") else f"`{show_seconds(value)}`"
    if value in ([], {}):
        return "none"
    return code(value)


# The command line: what --help says


def command_pages() -> str:
    return "\n".join(help_of([verb]) for verb in VERBS)


def help_of(path: list[str]) -> str:
    context, command = click.Context(group, info_name="refute", **group.context_settings), group
    for name in path:
        found = command.get_command(context, name)
        assert found is not None
        context, command = click.Context(found, info_name=name, parent=context, terminal_width=100), found
        command._help_option = None  # kept by click from whatever called the command first
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    shown = f"{'#' * (len(path) + 1)} refute {' '.join(path)}\n\n```text\n{text}\n```\n"
    inner = command.list_commands(context) if isinstance(command, click.Group) else []
    return "\n".join([shown, *(help_of([*path, name]) for name in inner)])


# The catalogue


def fault_pages() -> str:
    faults = catalogue()
    head = "| fault | what happens | hazard | magnitude |\n| --- | --- | --- | --- |"
    rows = [
        f"| [`{name}`](#{name.replace('.', '')}) | {fault.summary} | {fault.hazard} | {scale(fault)} |" for name, fault in faults.items()
    ]
    return "\n".join([head, *rows, "", *(fault_of(fault) for fault in faults.values())])


DRAWN = {"call": "calls", "attempt": "attempts", "conversation": "conversations", "user": "users"}


def scale(fault: Fault) -> str:
    if (about := fault.magnitude) is None:
        return "–"
    unit = "" if about.unit == "1" else f" {about.unit}"
    return f"{about.low:g} to {about.high:g}{unit}, typically {about.typical:g}{unit}"


INTO = {
    "exchange": "HTTP calls",
    "python": "Python functions",
    "connection": "TCP connections through `refute proxy`",
    "process": "the component's process, as a whole",
    "port": "the component's TCP port, as a whole",
    "directory": "the file system of the component's directory, as a whole",
    "training": "training runs",
}


def fault_of(fault: Fault) -> str:
    facts = (
        ("Applies to", ", ".join(sorted(fault.kinds))),
        ("Injected into", ", ".join(INTO[seam] for seam in sorted(seams(fault)))),
        ("Hazard", fault.hazard),
        ("Magnitude", f"{scale(fault)}: {fault.magnitude.meaning}" if fault.magnitude else ""),
        ("Typical share", "" if fault.whole else f"{fault.typical_share:.0%} of {DRAWN[fault.typical_draw]}"),
        ("Effect", fault.effect),
        ("Landed when", fault.landing),
        ("Undone by", fault.undone_by),
        ("Belief that it tests", fault.belief),
        ("Over", ", ".join(protocols_of(fault))),
        ("Seen in", fault.source),
    )
    told = "\n".join(f"- **{label}**: {text}" for label, text in facts if text)
    return f"## {fault.name}\n\n{fault.summary}\n\n{told}\n"


@pytest.mark.parametrize(("name", "written"), [("intent-file", key_tables), ("cli", command_pages), ("faults", fault_pages)])
def test_the_page_says_what_is_there(name, written):
    page = REFERENCE / f"{name}.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end
    fresh = f"{before}{BEGIN}\n{written()}\n{END}{after}"
    if os.environ.get("REFUTE_WRITE_DOCS"):
        page.write_text(fresh)
    assert page.read_text() == fresh, "REFUTE_WRITE_DOCS=1 pytest tests/docs/test_reference.py rewrites the page"


def test_every_key_of_the_schema_is_on_the_page():
    page = (REFERENCE / "intent-file.md").read_text()
    keys: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            keys.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(intent_schema())
    assert len(keys) > 50
    assert [key for key in sorted(keys) if f"`{key}`" not in page and f"`{key}:`" not in page] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_reaches_its_verb(verb):
    """A parameter that the function does not take is only noticed when the verb is called."""
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    taken = set(inspect.signature(inspect.unwrap(command.callback)).parameters)
    assert {parameter.name for parameter in command.params} <= taken
