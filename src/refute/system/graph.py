"""Who reaches whom over calls. Pure functions; cycles and calls to components that nobody declared do no harm."""

from __future__ import annotations

from refute.core.intent import Journey, System


def reachable(system: System, start: str) -> frozenset[str]:
    """Return the components that calls reach from one of them, itself included.

    Args:
        system: components by name.
        start: name of the component to start from.

    Returns:
        Names of declared components; empty where `start` is none.
    """
    return _closure({name: component.calls for name, component in system.components.items()}, start)


def ancestors(system: System, name: str) -> frozenset[str]:
    """Return the components whose calls reach this one, itself included.

    Args:
        system: components by name.
        name: name of the component that is reached.
    """
    callers: dict[str, list[str]] = {component: [] for component in system.components}
    for caller, component in system.components.items():
        for callee in component.calls:
            if callee in callers:
                callers[callee].append(caller)
    return _closure({component: tuple(names) for component, names in callers.items()}, name)


def shared_ancestors(system: System, first: str, second: str) -> frozenset[str]:
    """Return the components that reach both; harm to either meets there.

    Args:
        system: components by name.
        first: name of a component.
        second: name of another.
    """
    return ancestors(system, first) & ancestors(system, second)


def on_path(system: System, journey: Journey, target: str) -> bool:
    """Say whether a journey's calls can reach a component.

    Args:
        system: components by name.
        journey: where it enters.
        target: name of the component.
    """
    return target in reachable(system, journey.entry)


def journeys_through(system: System, target: str) -> tuple[str, ...]:
    """Return the names of the journeys that can reach a component, in the order of the file.

    Args:
        system: components and journeys by name.
        target: name of the component.
    """
    return tuple(name for name, journey in system.journeys.items() if on_path(system, journey, target))


def _closure(edges: dict[str, tuple[str, ...]], start: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in edges and name not in seen:
            seen.add(name)
            waiting.extend(edges[name])
    return frozenset(seen)


def entries_of(system: System) -> frozenset[str]:
    """Return the components that users call: the journeys' entries, or those that nothing else calls, or all of them.

    Args:
        system: components and journeys by name.
    """
    stated = frozenset(journey.entry for journey in system.journeys.values() if journey.entry in system.components)
    called = {callee for name, component in system.components.items() for callee in component.calls if callee != name}
    return stated or frozenset(system.components) - called or frozenset(system.components)
