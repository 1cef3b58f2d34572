"""The published, versioned JSON Schemas of the intent file and of the outcome record, made from the types themselves."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from refute.core.outcome import OUTCOME_VERSION, Outcome
from refute.intent.files import SECTIONS
from refute.intent.shape import VERSION, IntentShape

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_HOME = "https://github.com/refute/refute/schemas"


@cache
def model_schema() -> dict[str, Any]:
    """Return the models' own JSON Schema, with no file splitting."""
    return IntentShape.model_json_schema()


def intent_schema() -> dict[str, Any]:
    """Return the JSON Schema of an intent file (draft 2020-12)."""
    made = _tidied(model_schema())
    properties = made["properties"]
    for section in SECTIONS:
        about = properties[section]
        description = about.pop("description", "") or made["$defs"][about["$ref"].rpartition("/")[2]]["description"]
        properties[section] = {"description": description, "anyOf": [about, {"$ref": "#/$defs/FileOfItsOwn"}]}
    made["$defs"]["FileOfItsOwn"] = {
        "description": "Path of a file that holds this section, relative to this one.",
        "type": "string",
        "pattern": r"\.(yaml|yml|json)$",
    }
    paths = {"type": "string", "minLength": 1}
    properties["include"] = {
        "description": "Further files, merged into this one; relative to it.",
        "anyOf": [paths, {"type": "array", "items": paths}],
    }
    made["anyOf"] = [{"required": made.pop("required")}, {"required": ["include"]}]
    return {"$schema": _DIALECT, "$id": f"{_HOME}/intent-{VERSION}.json", "title": "Refute intent", **made}


def outcome_schema() -> dict[str, Any]:
    """Return the JSON Schema of one outcome (draft 2020-12)."""
    made = _tidied(TypeAdapter(Outcome).json_schema(mode="serialization"))
    meanings = _attributes(Outcome.__doc__ or "")
    for name, about in made["properties"].items():
        about["description"] = meanings[name]
    made["description"] = "What became of one unit. It holds no prompt and no answer."
    return {"$schema": _DIALECT, "$id": f"{_HOME}/outcome-{OUTCOME_VERSION}.json", "title": "Refute outcome", **made}


def _tidied(node: Any, named: bool = False) -> Any:
    """Leave out generated titles, and defaults in units that no file may hold; close mappings of names."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    if named:
        return {name: _tidied(about) for name, about in node.items()}
    kept = {key: _tidied(about, key in {"properties", "$defs"}) for key, about in node.items() if key not in {"title", "default"}}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    return kept


def _attributes(docstring: str) -> dict[str, str]:
    section = docstring.partition("Attributes:")[2]
    entries = re.findall(r"^\s+(\w+): (.+?)$", section, re.MULTILINE)
    return {name: text[0].upper() + text[1:] for name, text in entries}
