"""The types of single values in an intent: parsed, and described for the JSON Schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, StringConstraints, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from refute.core import units
from refute.core.criterion import GRAMMAR, Criterion, CriterionError, parse_criterion
from refute.core.units import Money
from refute.core.windows import Freeze, Window, WindowError, parse_freeze, parse_window

_STAKES = ("low", "medium", "high", "severe")
_NUMBER = r"[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_REFERENCE = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"

_VIA = r"^(proxy|exec [A-Za-z_][A-Za-z0-9_-]*)$"


def mistake(code: str, what: str, **fields: str) -> PydanticCustomError:
    """Return the error of one value, with the fields of a `Problem` that it can fill.

    Args:
        code: one of `CODES`.
        what: what is wrong, after the value's label.
        **fields: `allowed`, `suggestion`, `next`.
    """
    return PydanticCustomError(code, "{what}", {"what": what, **fields})


def _quantity(parse: Callable[[str], Any], allowed: str, repair: Callable[[float], str]) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        try:
            found = parse(value) if isinstance(value, str) else None
        except units.UnitError:
            found = None
        amount = found.amount if isinstance(found, Money) else found
        if amount is None or not math.isfinite(amount):
            raise mistake("VALUE-UNIT", "is not a value with its unit", allowed=allowed, suggestion=_repaired(value, repair))
        return found

    return validate


def _repaired(value: Any, repair: Callable[[float], str]) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    return repair(number) if not isinstance(value, bool) and 0 < number < math.inf else ""


def _bounded(check: Callable[[float], bool], what: str, allowed: str) -> PlainValidator:
    def validate(value: Any) -> float:
        found = float(_share(value))
        if not check(found):
            raise mistake("VALUE-RANGE", what, allowed=allowed)
        return found

    return PlainValidator(validate)


def _text_schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


_PERCENTAGE = _text_schema(rf"^\s*{_NUMBER}\s*%\s*$", "30%")
_share = _quantity(units.share, "a percentage between 0% and 100%", lambda number: f"{number * 100 if number <= 1 else number:g}%")

PositiveShare = Annotated[
    float,
    _bounded(lambda share: share > 0, "leaves nothing", "over 0%, at most 100%"),
    _PERCENTAGE,
]
Cohort = Annotated[
    float,
    _bounded(lambda share: 0 < share < 1, "leaves one cohort empty", "over 0% and under 100%, so that both cohorts see traffic"),
    _PERCENTAGE,
]


def _ramp(value: Any) -> tuple[float, ...]:
    steps = [float(_share(step)) for step in value] if isinstance(value, list) else []
    if len(steps) < 2 or steps != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] < 1:
        raise mistake("RAMP-ORDER", "does not rise from one share to another", allowed="two or more, such as [1%, 5%, 20%]")
    return tuple(steps)


Ramp = Annotated[
    tuple[float, ...],
    PlainValidator(_ramp),
    WithJsonSchema(
        {"type": "array", "minItems": 2, "items": {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%\s*$", "examples": ["30%"]}}
    ),
]
Objective = Annotated[
    float,
    _bounded(lambda share: 0 < share < 1, "is no objective with a budget", "over 0% and under 100%"),
    _PERCENTAGE,
]
Alpha = Annotated[
    float,
    _bounded(lambda share: 0 < share <= 0.2, "is no error rate to decide with", "over 0%, at most 20%; usually 5%"),
    _PERCENTAGE,
]
Duration = Annotated[
    float,
    PlainValidator(_quantity(units.seconds, "a duration with its unit: 250 ms, 2 s, 5 min, 1 h or 30 d", lambda number: f"{number:g} s")),
    _text_schema(rf"^\s*{_NUMBER}\s*(us|µs|ms|s|min|h|d)\s*$", "30 s", "5 min"),
]
Rate = Annotated[
    float,
    PlainValidator(_quantity(units.rate, "a positive rate: 5/s, 90/min or 100/h", lambda number: f"{number:g}/s")),
    _text_schema(rf"^\s*{_NUMBER}\s*/(s|min|h)\s*$", "5/s"),
]
Amount = Annotated[
    Money,
    PlainValidator(_quantity(units.money, "an amount with its currency: 0.40 USD", lambda number: f"{number:g} USD")),
    _text_schema(rf"^\s*{_NUMBER}\s*[A-Z]{{3}}\s*$", "0.40 USD"),
]

Price = Annotated[
    Money,
    PlainValidator(
        _quantity(units.price, "an amount with its currency, for one or for many: 0.60 USD per 1M", lambda number: f"{number:g} USD")
    ),
    _text_schema(rf"^\s*{_NUMBER}\s*[A-Z]{{3}}(\s+per\s+[0-9]+(\.[0-9]+)?\s*[kM]?(\s+[A-Za-z_-]+)?)?\s*$", "0.60 USD per 1M", "0.01 USD"),
]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A belief in a tolerance threshold.

    Attributes:
        at_least: as written: the magnitude up to which the criterion is believed to hold.
        sure: confidence in that, in (0, 1).
    """

    at_least: Any
    sure: float


def _belief_in(value: Any) -> float | Tolerance:
    if not isinstance(value, dict):
        return _confidence(value)
    if set(value) != {"at_least", "sure"}:
        raise mistake("VALUE-TYPE", "is no confidence", allowed="a percentage, or {at_least: MAGNITUDE, sure: PERCENTAGE}")
    return Tolerance(_magnitude(value["at_least"]), _confidence(value["sure"]))


def _confidence(value: Any) -> float:
    share = float(_share(value))
    if share in {0.0, 1.0}:
        what = "says that no evidence could change your mind, so that there is nothing to learn"
        raise mistake("CONFIDENCE-CERTAIN", what, allowed="over 0% and under 100%", suggestion="99%" if share else "1%")
    return share


_MAGNITUDE_SCHEMA: dict[str, Any] = {"type": ["string", "number"], "examples": ["2 s", 3]}
_PERCENTAGE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%\s*$", "examples": ["30%"]}
Confidence = Annotated[
    float | Tolerance,
    PlainValidator(_belief_in),
    WithJsonSchema({
        "anyOf": [
            _PERCENTAGE_SCHEMA,
            {
                "type": "object", "required": ["at_least", "sure"], "additionalProperties": False,
                "properties": {"at_least": _MAGNITUDE_SCHEMA, "sure": _PERCENTAGE_SCHEMA},
            },
        ],
        "examples": ["80%"],
    }),
]  # fmt: skip


def _criterion(value: Any) -> Criterion:
    try:
        found = parse_criterion(value) if isinstance(value, str) else None
    except CriterionError as error:
        raise mistake("CRITERION-SYNTAX", "cannot be read as a criterion", allowed=str(error)) from None
    if found is None or not math.isfinite(found.value):
        raise mistake("CRITERION-SYNTAX", "cannot be read as a criterion", allowed=f"a criterion reads {GRAMMAR}")
    return found


CriterionText = Annotated[
    Criterion,
    PlainValidator(_criterion),
    WithJsonSchema({"type": "string", "pattern": "[<>]", "examples": ["answered >= 95%", "latency p95 worse by <= 1 s"]}),
]


def _pattern(value: Any) -> str:
    try:
        re.compile(value)
    except (re.error, TypeError) as error:
        raise mistake("PATTERN-SYNTAX", "is no regular expression", allowed=str(error)) from None
    return str(value)


Pattern = Annotated[str, PlainValidator(_pattern), WithJsonSchema({"type": "string", "minLength": 1, "examples": ["accuracy=([0-9.]+)"]})]


def _windows(parse: Callable[[str], Any], code: str) -> PlainValidator:
    def validate(value: Any) -> tuple[Any, ...]:
        texts = value if isinstance(value, list) else [value]
        try:
            return tuple(parse(text if isinstance(text, str) else "") for text in texts)
        except WindowError as error:
            raise mistake(code, "is no time in which experiments may or may not run", allowed=str(error)) from None

    return PlainValidator(validate)


def _one_or_more(example: str) -> WithJsonSchema:
    text = {"type": "string"}
    return WithJsonSchema({"anyOf": [text, {"type": "array", "items": text}], "examples": [example]})


Windows = Annotated[tuple[Window, ...], _windows(parse_window, "WINDOW-SYNTAX"), _one_or_more("Mon-Thu 09:00-16:00 Europe/Berlin")]
Freezes = Annotated[tuple[Freeze, ...], _windows(parse_freeze, "FREEZE-SYNTAX"), _one_or_more("2026-12-20 to 2027-01-02 UTC")]


def _stake(value: Any) -> Any:
    if isinstance(value, str) and value in _STAKES:
        return value
    try:
        return units.money(value)
    except (units.UnitError, TypeError):
        allowed = f"{', '.join(_STAKES)}, or an amount with its currency: 5000 USD"
        raise mistake("VALUE-CHOICE", "is not what being wrong may cost", allowed=allowed) from None


StakeOrMoney = Annotated[
    Any,
    PlainValidator(_stake),
    WithJsonSchema({"anyOf": [{"enum": list(_STAKES)}, {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*[A-Z]{{3}}\s*$"}]}),
]


def _magnitude(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise mistake("VALUE-TYPE", "is not a magnitude", allowed="a number with the fault's unit: 2 s, 30% or 3", next="refute faults")
    return value


MagnitudeText = Annotated[Any, PlainValidator(_magnitude), WithJsonSchema(_MAGNITUDE_SCHEMA)]


def _said(value: Any) -> frozenset[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str | int | float) for one in listed):
        raise mistake("VALUE-TYPE", "is no value of a case", allowed="text, a number, true or false, or a list of them")
    return frozenset(str(one).lower() if isinstance(one, bool) else str(one) for one in listed)


Said = Annotated[
    frozenset[str],
    PlainValidator(_said),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
            ],
            "examples": ["free"],
        }
    ),
]


def _url(value: Any) -> str:
    allowed = "a URL such as http://127.0.0.1:8000/ask, without user name and password"
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        good = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        parts, good = None, False
    if parts is None or not good or parts.username is not None or re.search(r"\s", value):
        raise mistake("VALUE-URL", "is not the URL of an HTTP service", allowed=allowed)
    return str(value)


Url = Annotated[str, PlainValidator(_url), _text_schema(r"^https?://[^\s@]+$", "http://127.0.0.1:8000/ask")]


def _endpoint(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"stdio://[a-z0-9][a-z0-9.-]{0,62}", value):
        return value
    if not isinstance(value, str) or not value.startswith("tcp:"):
        return _url(value)
    if (found := re.fullmatch(r"tcp://[^\s@/?#]+:(\d{1,5})", value)) is None or not 0 < int(found[1]) < 65536:
        raise mistake("VALUE-URL", "is not the address of a TCP service", allowed="tcp://HOST:PORT, such as tcp://127.0.0.1:5432")
    return value


Endpoint = Annotated[str, PlainValidator(_endpoint), _text_schema(r"^(https?|tcp|stdio)://[^\s@]+$", "http://127.0.0.1:8000/v1")]


def _guardian(value: Any) -> str:
    found = re.fullmatch(r"tls://[^\s@/?#]+:(\d{1,5})", value) if isinstance(value, str) else None
    if found is None or not 0 < int(found[1]) < 65536:
        raise mistake("VALUE-GUARDIAN", "is not the address of a guardian", allowed="tls://HOST:PORT, such as tls://10.0.0.2:7443")
    return str(value)


GuardianAddress = Annotated[str, PlainValidator(_guardian), _text_schema(r"^tls://[^\s@/?#]+:\d+$", "tls://10.0.0.2:7443")]


def _via(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_VIA, value):
        return value
    raise mistake("VALUE-CHOICE", "is no way that is known here", allowed="proxy, or exec NAME such as exec shop")


Via = Annotated[str, PlainValidator(_via), _text_schema(_VIA, "exec shop")]


def _reference(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_REFERENCE, value):
        return value
    dotted = re.fullmatch(r"([A-Za-z_][\w.]*)\.([A-Za-z_]\w*)(\(\))?", value) if isinstance(value, str) else None
    suggestion = f"{dotted[1]}:{dotted[2]}" if dotted else ""
    raise mistake("VALUE-REFERENCE", "is not a Python reference", allowed="module:function, such as app.main:answer", suggestion=suggestion)


Reference = Annotated[str, PlainValidator(_reference), _text_schema(_REFERENCE, "app.main:answer")]


def _actions_source(value: Any) -> str:
    """Return where an agent's calls are seen; `calls`, `spans` or a reference."""
    if value in {"calls", "spans"} or (isinstance(value, str) and re.fullmatch(_REFERENCE, value)):
        return str(value)
    raise mistake("VALUE-CHOICE", "is no place where an agent's calls are seen", allowed="calls, spans, or module:function")


ActionsSource = Annotated[str, PlainValidator(_actions_source), _text_schema(rf"^(calls|spans)$|{_REFERENCE}", "calls")]


def _paths(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(one, str) and one.strip() for one in listed):
        raise mistake("VALUE-TYPE", "names no files", allowed="a path or a list of paths, `*` allowed")
    return tuple(listed)


Paths = Annotated[
    tuple[str, ...],
    PlainValidator(_paths),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}],
            "examples": ["traces/*.json"],
        }
    ),
]


_SERVICE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,79}")


def _services(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) and _SERVICE.fullmatch(name) for name in listed):
        raise mistake("NAME-SYNTAX", "is no name of a service, and no list of such", allowed="support-assistant")
    return tuple(dict.fromkeys(listed))


Services = Annotated[
    tuple[str, ...],
    PlainValidator(_services),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}],
            "examples": ["support-assistant"],
        }
    ),
]


def not_yet(thing: str, instead: str = "") -> PydanticCustomError:
    """Return the answer to a reserved key or value."""
    return mistake("NOT-YET", f"is reserved for {thing}, which this version does not have yet", allowed=instead)


@dataclass(frozen=True, slots=True)
class Reserved:
    """Marks a key that later features need: whatever it holds is answered with `NOT-YET`.

    Attributes:
        thing: the feature that is not there yet.
        instead: what to write today.
    """

    thing: str
    instead: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse any value."""
        return core_schema.no_info_plain_validator_function(self._refuse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe a key that may not be there."""
        return {"not": {}, "description": f"Reserved for {self.thing}: not yet."}

    def _refuse(self, _value: Any) -> None:
        raise not_yet(self.thing, self.instead)


class Words:
    """Marks a choice of words, some of which are reserved.

    Args:
        *names: what may be chosen.
        **later: reserved words, and the feature that each needs.
    """

    def __init__(self, *names: str, **later: str) -> None:
        self._names = names
        self._later = later

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept the words that are there."""
        return core_schema.no_info_plain_validator_function(self._chosen)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """List the words that are there."""
        return {"enum": list(self._names)}

    def _chosen(self, value: Any) -> str:
        if isinstance(value, str) and value in self._names:
            return value
        if isinstance(value, str) and value in self._later:
            raise not_yet(self._later[value], " or ".join(self._names))
        raise mistake("VALUE-CHOICE", "is none of the words known here", allowed=", ".join(self._names))


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=80)]
