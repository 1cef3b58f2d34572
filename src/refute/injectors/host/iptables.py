"""Faults by packet filter rules: traffic to one TCP port is dropped, reset or thinned out by the kernel."""

from __future__ import annotations

import contextlib

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors.host._filter import Filter, incapable, version
from refute.injectors.host._port import address_of, arriving, handle_for, unreachable
from refute.injectors.host._tools import ToolError
from refute.injectors.host._watch import Watch, connect_s
from refute.injectors.host._whole import Lack, arming_of, misfit, permitted, refused

_PARTITION, _RESET, _LOSS = "network.partition", "network.reset", "network.loss"
_TARGETS = {
    _PARTITION: "-j DROP",
    _RESET: "-j REJECT --reject-with tcp-reset",
    _LOSS: "-m statistic --mode random --probability {share:.6f} -j DROP",
}
_LIMIT_S = 0.3


class IptablesInjector:
    """Has the kernel drop or reset what goes to a component's port."""

    name = "iptables"
    rollback_kind: RollbackKind = "journalled"
    faults = tuple(_TARGETS)

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watch = Watch()

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""."""
        return misfit(arming, self.faults) or unreachable(arming.component) or self.lacks(arming.fault).what

    def lacks(self, fault: str) -> Lack:
        """Say what of tools, rights and kernel the host lacks."""
        return incapable(f"-A INPUT -p tcp {_TARGETS[fault].format(share=0.5)}")

    def means(self, _fault: str) -> str:
        """Say by what."""
        return version()

    def prepare(self, arming: Arming) -> Handle:
        """Name the rules; make none.

        Raises:
            RefuteError: it cannot be done here (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        return handle_for(self.name, arming)

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Add the rules.

        Raises:
            RefuteError: they could not be added (`HOST-REFUSED`); the rollback is then due.
        """
        arming = arming_of(handle)
        permitted(arming, lease)
        try:
            Filter(handle).put([f"-p tcp {_target(arming)}"], arriving(handle, answers=arming.fault == _PARTITION))
        except ToolError as error:
            raise refused(arming, str(error)) from None
        self._watch.begin(handle, lease, lambda: _look(handle))

    def landed(self, handle: Handle) -> Landing:
        """Return what connections and the kernel's counters have shown."""
        if arming_of(handle).fault != _LOSS:
            return self._watch.landed(handle)
        with contextlib.suppress(ToolError):
            if lost := sum(Filter(handle).packets()):
                return Landing(eligible=1, injected=1, effect={"dropped_packets": float(lost)})
        return Landing(eligible=1, reason="the kernel has counted no dropped packet")

    def rollback(self, handle: Handle) -> None:
        """Take the rules away."""
        Filter(handle).remove()

    def verify(self, handle: Handle) -> bool:
        """Say whether no rule is left."""
        return Filter(handle).gone()


def _target(arming: Arming) -> str:
    scale = catalogue()[arming.fault].magnitude
    share = scale.or_typical(arming.magnitude) / 100 if scale is not None else 1.0
    return _TARGETS[arming.fault].format(share=share)


def _look(handle: Handle) -> tuple[dict[str, float], str]:
    """Try a connection: it must not open, and in the way of this fault."""
    took_s, how = connect_s(address_of(handle), _LIMIT_S)
    fault = arming_of(handle).fault
    if fault == _LOSS:
        return {}, ""
    wanted = "late" if fault == _PARTITION else "refused"
    return ({f"connections_{wanted}": 1.0}, "") if how == wanted else ({}, f"a connection was {how} after {took_s:.2f} s")


INJECTOR = IptablesInjector()
"""The one of this process."""
