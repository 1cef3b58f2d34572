"""The injector: the switch decides and counts, so that share, cohort, draw and lease mean here what they mean everywhere."""

from refute.core.arming import Arming, Handle, Landing
from refute.core.lease import Lease
from refute.faults.catalogue import find
from refute.injectors.sublease import Sublease
from refute.injectors.switch import Switch


class FlagInjector:
    """Flips flags that are read while armed."""

    name = "flags"

    def __init__(self) -> None:
        self._armed: dict[str, Switch] = {}
        self._past: dict[str, Landing] = {}

    def refuses(self, arming: Arming) -> str:
        if arming.fault != "flags.flipped":
            return f"{arming.fault} is none of the flags'"
        return find(arming.fault).objection(arming.component.kind, arming.magnitude)

    def prepare(self, arming: Arming) -> Handle:
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        arming = Arming.from_json(handle.data["arming"])
        lease.permits(arming.component)
        self._armed[handle.id] = Switch(arming, Sublease(lease))

    def landed(self, handle: Handle) -> Landing:
        switch = self._armed.get(handle.id)
        return self._past.get(handle.id, Landing()) if switch is None else switch.landing()

    def rollback(self, handle: Handle) -> None:
        if (switch := self._armed.pop(handle.id, None)) is not None:
            switch.lease.revoke()
            self._past[handle.id] = switch.landing()

    def verify(self, handle: Handle) -> bool:
        return handle.id not in self._armed

    def read(self, name: str, value: bool) -> bool:
        """Return what the application is to read."""
        for switch in list(self._armed.values()):
            if (hit := switch.decide(name, -1)) is not None:
                switch.delivered(hit, "flipped")
                return not value
        return value


INJECTOR = FlagInjector()
