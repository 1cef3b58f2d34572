"""Faults by a packet queue: traffic to one TCP port is held by a process of ours, which lets each packet go in its time."""

from __future__ import annotations

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.injectors.host._assistant import Assistant, AssistantError
from refute.injectors.host._filter import Filter, incapable, version
from refute.injectors.host._namespace import Namespace
from refute.injectors.host._numbers import free_queue
from refute.injectors.host._port import arriving, delayed, handle_for, unreachable
from refute.injectors.host._tools import ToolError
from refute.injectors.host._watch import Watch
from refute.injectors.host._whole import Lack, arming_of, magnitude_of, misfit, permitted, refused

_DELAY, _BANDWIDTH = "network.delay", "network.bandwidth"
_TARGET = "-j NFQUEUE --queue-num {number} --queue-bypass"


class NfqueueInjector:
    """Holds what goes to a component's port."""

    name = "nfqueue"
    rollback_kind: RollbackKind = "journalled"
    faults = (_DELAY, _BANDWIDTH)

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._watch = Watch()
        self._holders: dict[str, Assistant] = {}
        self._waited: dict[str, float] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""."""
        return misfit(arming, self.faults) or unreachable(arming.component) or self.lacks(arming.fault).what

    def lacks(self, _fault: str) -> Lack:
        """Say what of tools, rights and kernel the host lacks."""
        return incapable(f"-A INPUT -p tcp {_TARGET.format(number=0)}")

    def means(self, _fault: str) -> str:
        """Say by what."""
        return f"packet queues, by {version()}"

    def prepare(self, arming: Arming) -> Handle:
        """Choose a queue and name the rules; make none.

        Raises:
            RefuteError: it cannot be done here (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        return handle_for(self.name, arming, queue=free_queue())

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Start the holder, then lead the packets to it.

        Raises:
            RefuteError: it does not hold, or the rules could not be added (`HOST-REFUSED`); the rollback is then due.
        """
        arming, number = arming_of(handle), handle.data["queue"]
        permitted(arming, lease)
        self._holders[handle.id] = _started(handle, arming)
        permitted(arming, lease)
        try:
            Filter(handle).put([f"-p tcp {_TARGET.format(number=number)}"], arriving(handle, answers=arming.fault == _BANDWIDTH))
        except ToolError as error:
            raise refused(arming, str(error)) from None
        if arming.fault == _DELAY:
            self._watch.begin(handle, lease, delayed(handle))

    def landed(self, handle: Handle) -> Landing:
        """Return what opening connections, or counting packets that waited, has shown."""
        if arming_of(handle).fault == _DELAY:
            return self._watch.landed(handle)
        holder = self._holders.get(handle.id)
        if holder is not None and (said := holder.said()):
            self._waited[handle.id] = float(said)
        if waited := self._waited.get(handle.id):
            return Landing(eligible=1, injected=1, effect={"packets_waited": waited})
        return Landing(eligible=1, reason="no packet has had to wait")

    def rollback(self, handle: Handle) -> None:
        """Take the rules away, then let go of what is held; a holder of another process has ended with it."""
        try:
            Filter(handle).remove()
        finally:
            holder = self._holders.pop(handle.id, None)
            if holder is not None:
                holder.end()

    def verify(self, handle: Handle) -> bool:
        """Say whether no rule is left and nothing is held."""
        return handle.id not in self._holders and Filter(handle).gone()


def _started(handle: Handle, arming: Arming) -> Assistant:
    """Start the process that holds packets and wait until it does."""
    hard = magnitude_of(arming)
    delay_s, bytes_per_s = (hard, 0.0) if arming.fault == _DELAY else (0.0, hard * 1000)
    try:
        return Assistant(
            "_queue", [str(handle.data["queue"]), str(delay_s), str(bytes_per_s)], Namespace.from_json(handle.data["namespace"])
        )
    except AssistantError as error:
        raise refused(arming, f"packets cannot be held: {error}") from None


INJECTOR = NfqueueInjector()
"""The one of this process."""
