"""Whether a fault of a whole component would strike what is off limits and is stated in another way: by its port, not by its process."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from refute.core.arming import Arming, Handle
from refute.core.process import ProcessIdentity
from refute.core.system import Component
from refute.core.zone import Zone
from refute.faults.catalogue import catalogue
from refute.injectors.host._processes import UnfoundError, family, find


def trespass(handle: Handle, zone: Zone) -> str:
    """Return the name of the component off limits that a handle would strike, "" for none that can be told.

    Components are compared by what they are now: the processes that serve them, the file systems that their directories are on.

    Args:
        handle: prepared.
        zone: what is off limits, as this host sees it.
    """
    if not zone.components or "arming" not in handle.data:
        return ""
    arming = Arming.from_json(handle.data["arming"])
    fault = catalogue().get(arming.fault)
    meets = _MEETS.get(fault.acts_on if fault is not None else "")
    here = [one for one in zone.components if not one.place.host]
    return next((one.name for one in here if meets(handle, arming.component, one)), "") if meets is not None else ""


def _same_process(handle: Handle, _target: Component, other: Component) -> bool:
    struck = {ProcessIdentity.from_json(data) for data in handle.data.get("processes", ())}
    return bool(struck & _processes(other))


def _same_port(_handle: Handle, target: Component, other: Component) -> bool:
    """Whether whoever listens at the target's port serves the other, which does not say at which port."""
    return not other.port and not target.place.netns and bool(_processes(target) & _processes(other))


def _same_disk(_handle: Handle, target: Component, other: Component) -> bool:
    device = _device(target)
    return bool(device) and device == _device(other)


_MEETS = {"process": _same_process, "port": _same_port, "directory": _same_disk}


def _processes(component: Component) -> set[ProcessIdentity]:
    place = component.place
    if place.netns and not (place.pidfile or place.match):
        return set()  # whoever listens at that port of this namespace is somebody else
    with suppress(UnfoundError):
        return set(family(find(component)))
    return set()


def _device(component: Component) -> int:
    """Return the file system that a component's directory is on, 0 where there is none."""
    with suppress(OSError):
        return Path(component.place.directory).stat().st_dev if component.place.directory else 0
    return 0
