"""What faults of processes share: the family of processes that serves a component, as a handle keeps it."""

from __future__ import annotations

from refute.core.arming import Arming, Handle
from refute.core.process import ProcessIdentity
from refute.core.system import Component
from refute.injectors.host._processes import UnfoundError, family, find, is_stopped
from refute.injectors.host._whole import refused


def unnamed(component: Component) -> str:
    """Say that a component does not say which process it is, "" where it does."""
    place = component.place
    named = place.pidfile or place.match or component.port
    return "" if named else f"component {component.name!r} says neither `process` nor a port on loopback"


def family_of(arming: Arming) -> list[ProcessIdentity]:
    """Return the processes that serve a component, parents first.

    Raises:
        RefuteError: they cannot be told for certain, or one is stopped by somebody else (`HOST-REFUSED`).
    """
    try:
        processes = family(find(arming.component))
    except UnfoundError as error:
        raise refused(arming, str(error)) from None
    stopped = [process.pid for process in processes if is_stopped(process)]
    if stopped:
        raise refused(arming, f"process {stopped[0]} is stopped already, by somebody else")
    return processes


def grown(processes: list[ProcessIdentity]) -> str:
    """Say that a family has grown since a handle was prepared, "" where it has not."""
    try:
        now = family(processes[0])
    except UnfoundError as error:
        return str(error)
    return "it started further processes meanwhile" if {one.pid for one in now} - {one.pid for one in processes} else ""


def processes_of(handle: Handle) -> list[ProcessIdentity]:
    """Return the processes that a handle was prepared for."""
    return [ProcessIdentity.from_json(data) for data in handle.data["processes"]]
