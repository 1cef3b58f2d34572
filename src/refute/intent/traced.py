"""Refines the components of an intent by its traces: what calls what, what nobody has written down, and how traffic is spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from refute.core.errors import Problem, RefuteError
from refute.core.intent import Intent, Journey
from refute.intent.document import Document, Steps
from refute.system.reading import found, read_system
from refute.system.seen import SeenComponent, SeenSystem

_STEPS: Steps = ("system", "traces")


def refine(document: Document, folder: Path) -> SeenSystem | None:
    """Read the traces that a document names, and add what they show to its components.

    A component of the traces is one of the document where names, addresses, or kinds that occur once on either side agree. Calls are
    added to those that are written down, never taken away: what was not seen may still happen.

    Args:
        document: as read; problems with the traces are added to its own.
        folder: what the paths of traces are relative to.

    Returns:
        What the traces show, under the document's names; None where it names none, or they cannot be read.
    """
    system = document.data.get("system") if isinstance(document.data, dict) else None
    patterns = system.get("traces") if isinstance(system, dict) else None
    patterns = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(patterns, list) or not all(isinstance(one, str) and one for one in patterns):
        return None  # what is misshapen is told with the rest of the shape
    seen = _read(document, [one for one in patterns if isinstance(one, str)], folder)
    components = system.setdefault("components", {}) if isinstance(system, dict) else None
    if seen is None or not isinstance(components, dict) or not all(isinstance(one, dict) for one in components.values()):
        return None
    seen = renamed(seen, components)
    for component in seen.components.values():
        _add(components, component)
    return seen


def _read(document: Document, patterns: list[str], folder: Path) -> SeenSystem | None:
    files, empty = found(patterns, folder)
    for pattern in empty:
        document.problems.append(
            document.problem("TRACES-MISSING", "no trace file is there", _STEPS, pattern, allowed="paths relative to the intent file")
        )
    try:
        return read_system(files) if files and not empty else None
    except RefuteError as error:
        document.problems += [Problem(one.code, one.what, one.where, one.seen, one.allowed, next=one.next) for one in error.problems]
        return None


def _add(components: dict[str, Any], component: SeenComponent) -> None:
    if component.name not in components:
        components[component.name] = {"kind": component.kind, **({"endpoint": url} if (url := endpoint_of(component)) else {})}
    about = components[component.name]
    written = about.get("calls", [])
    if isinstance(written, list):
        about["calls"] = [*written, *(name for name in component.calls if name not in written)]


def endpoint_of(component: SeenComponent) -> str:
    """Return the base URL of a component that HTTP reaches, as far as its address tells; "" for others."""
    if component.kind not in {"service", "llm", "embedder", "model_server", "mcp_server"} or ":" not in component.endpoint:
        return ""
    return f"{'https' if component.endpoint.endswith(':443') else 'http'}://{component.endpoint}"


def weighed(intent: Intent, seen: SeenSystem | None) -> Intent:
    """Return an intent with the weights that traces show: what share of traffic meets a component, and each journey's share.

    Journeys keep theirs where one is stated, or where the traces do not know all of them.

    Args:
        intent: whose components are refined.
        seen: under the intent's names; None changes nothing.
    """
    if seen is None or not seen.journeys:
        return intent
    system, written = intent.system, intent.raw.get("journeys") or {}
    journeys = dict(system.journeys)
    counts = {name: _seen_count(one, journeys, seen) for name, one in journeys.items()}
    if all(counts.values()) and not any("share" in about for about in written.values()):
        total = sum(counts.values())
        journeys = {name: replace(one, share=counts[name] / total) for name, one in journeys.items()}
    reach = {name: one.reach for name, one in seen.components.items()}
    return replace(intent, system=replace(system, journeys=journeys, reach=reach))


def _seen_count(journey: Journey, journeys: Mapping[str, Journey], seen: SeenSystem) -> int:
    """Return how often a journey was seen: by its name, or by its entry where no other journey has that."""
    if journey.name in seen.journeys:
        return seen.journeys[journey.name].count
    if sum(other.entry == journey.entry for other in journeys.values()) > 1:
        return 0
    return sum(one.count for one in seen.journeys.values() if one.entry == journey.entry)


def renamed(seen: SeenSystem, written: Mapping[str, Mapping[str, Any]]) -> SeenSystem:
    """Return what traces show, under the names that people gave.

    Args:
        seen: as the spans name it.
        written: components of the intent, as read.
    """
    names = _matches(seen, written)
    components = {}
    for component in seen.components.values():
        calls = {names[callee]: call for callee, call in component.calls.items()}
        name = names[component.name]
        components[name] = replace(component, name=name, calls=calls)
    journeys = {name: type(journey)(name, names[journey.entry], journey.count, journey.share) for name, journey in seen.journeys.items()}
    return SeenSystem(components, journeys, seen.quality)


def _matches(seen: SeenSystem, written: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    names = {name: name for name in seen.components if name in written}
    addresses = {_address(about): name for name, about in written.items() if _address(about)}
    left = [one for one in seen.components.values() if one.name not in names]
    for one in left:
        if (name := addresses.get(one.endpoint, "")) and name not in names.values():
            names[one.name] = name
    for kind in {one.kind for one in left}:
        ours = [name for name, about in written.items() if about.get("kind") == kind and name not in names.values()]
        theirs = [one.name for one in left if one.kind == kind and one.name not in names]
        if len(ours) == len(theirs) == 1 and kind != "service":
            names[theirs[0]] = ours[0]
    taken = {*written, *names.values()}
    return {name: names.get(name) or (name if name not in taken else f"{name}-traced") for name in seen.components}


def _address(about: Mapping[str, Any]) -> str:
    """Return `host:port` of a component's endpoint, "" where it has none that can be read."""
    try:
        parts = urlsplit(str(about.get("endpoint") or ""))
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""
