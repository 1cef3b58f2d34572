"""Faults by the kernel's own network emulator: what goes to one TCP port on loopback is delayed, at the kernel's speed."""

from __future__ import annotations

import secrets
from functools import cache

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.injectors.host._port import delayed, unreachable
from refute.injectors.host._tools import NET_ADMIN, SYS_ADMIN, ToolError, lacks, module_or_kernel, run
from refute.injectors.host._watch import Watch
from refute.injectors.host._whole import Lack, arming_of, magnitude_of, misfit, permitted, refused

_DELAY = "network.delay"
_DEVICE = "lo"
_BAND = 4
_ALL_IN_THE_FIRST = " ".join(["0"] * 16)


class NetemInjector:
    """Puts a queue with an emulator on loopback, and sorts the packets of one port into it."""

    name = "netem"
    rollback_kind: RollbackKind = "journalled"
    faults = (_DELAY,)

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watch = Watch()

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""."""
        if reason := misfit(arming, self.faults) or unreachable(arming.component):
            return reason
        if arming.component.place.netns or arming.component.place.exposed:
            return "packets that arrive from elsewhere pass no queue of loopback"
        return self.lacks(arming.fault).what or _taken()

    def lacks(self, _fault: str) -> Lack:
        """Say what of tools, rights and kernel the host lacks."""
        return _incapable()

    def means(self, _fault: str) -> str:
        """Say by what."""
        return "tc netem on loopback"

    def prepare(self, arming: Arming) -> Handle:
        """Name the queue; make none.

        Raises:
            RefuteError: it cannot be done here (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        queue = f"{0x1000 + secrets.randbelow(0xE000):x}"
        return Handle(self.name, "journalled", {"arming": arming.to_json(), "port": arming.component.port, "queue": queue})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Make the queue, the emulator in its last band, and the filters that lead there; the filters come last.

        Raises:
            RefuteError: it could not be made (`HOST-REFUSED`); the rollback is then due.
        """
        arming, queue = arming_of(handle), handle.data["queue"]
        permitted(arming, lease)
        delay_us = round(magnitude_of(arming) * 1e6)
        try:
            _tc(f"qdisc add dev {_DEVICE} root handle {queue}: prio bands {_BAND} priomap {_ALL_IN_THE_FIRST}")
            _tc(f"qdisc add dev {_DEVICE} parent {queue}:{_BAND} netem delay {delay_us}us limit 100000")
            for protocol, match in (("ip", "ip"), ("ipv6", "ip6")):
                _tc(
                    f"filter add dev {_DEVICE} parent {queue}: protocol {protocol} prio {1 + (protocol == 'ipv6')} u32 "
                    f"match {match} protocol 6 0xff match {match} dport {handle.data['port']} 0xffff flowid {queue}:{_BAND}"
                )
        except ToolError as error:
            raise refused(arming, str(error)) from None
        self._watch.begin(handle, lease, delayed(handle))

    def landed(self, handle: Handle) -> Landing:
        """Return what opening connections has shown."""
        return self._watch.landed(handle)

    def rollback(self, handle: Handle) -> None:
        """Take the queue away where it is ours; what waited in it is sent again by TCP."""
        if _queue() == handle.data["queue"]:
            try:
                _tc(f"qdisc del dev {_DEVICE} root handle {handle.data['queue']}:")
            except ToolError:
                if _queue() == handle.data["queue"]:
                    raise

    def verify(self, handle: Handle) -> bool:
        """Say whether the queue is gone."""
        return bool(_queue() != handle.data["queue"])


@cache
def _incapable() -> Lack:
    """Say what is missing, by trying it in an empty namespace that ends at once."""
    if (lack := lacks(["tc", "unshare"], NET_ADMIN, SYS_ADMIN)).what:
        return lack
    try:
        run(["tc", *f"qdisc add dev {_DEVICE} root netem delay 1ms".split()], within=["unshare", "--net"])
    except ToolError as error:
        return Lack(f"the kernel has no network emulator ({error})", module_or_kernel("sch_netem", "NET_SCH_NETEM"))
    return Lack()


def _taken() -> str:
    """Say that somebody has put a queue on loopback, "" where nobody has."""
    try:
        return f"{_DEVICE} has a queue of somebody else's already" if _queue() else ""
    except ToolError as error:
        return str(error)


def _queue() -> str:
    """Return the handle of the queue that somebody has put on the device, "" where there is the kernel's own.

    Raises:
        ToolError: that cannot be told.
    """
    words = _tc(f"qdisc show dev {_DEVICE} root").split()  # qdisc KIND HANDLE: root …
    return "" if len(words) < 3 or words[2] == "0:" else words[2].rstrip(":")


def _tc(command: str) -> str:
    return run(["tc", *command.split()])


INJECTOR = NetemInjector()
"""The one of this process."""
