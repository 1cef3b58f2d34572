"""Faults of name look-ups: what one component asks by DNS fails, or is never answered; nobody else's look-ups are touched."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.core.process import is_running
from refute.core.system import Component
from refute.injectors.host._assistant import Assistant, AssistantError
from refute.injectors.host._filter import Filter, incapable, version
from refute.injectors.host._groups import OURS, NoGroupError, empty, hierarchy, make, move
from refute.injectors.host._namespace import Namespace
from refute.injectors.host._numbers import free_queue
from refute.injectors.host._port import handle_for
from refute.injectors.host._target import family_of, processes_of, unnamed
from refute.injectors.host._tools import ToolError
from refute.injectors.host._whole import Lack, arming_of, misfit, permitted, refused

_CODES = {"dns.error": 2, "dns.not_found": 3, "dns.timeout": -1}
"""Response codes of RFC 1035; -1 for no answer."""
_QUEUED = "-p udp -j NFQUEUE --queue-num {number} --queue-bypass"
_RULE = "-A OUTPUT -p udp --dport 53 {match}-j NFQUEUE --queue-num 0 --queue-bypass"
_NO_TCP = {True: "-p tcp -j REJECT --reject-with tcp-reset", False: "-p tcp -j DROP"}


class LookupsInjector:
    """Leads a component's look-ups to a process that answers them."""

    name = "lookups"
    rollback_kind: RollbackKind = "journalled"
    faults = tuple(_CODES)

    def __init__(self) -> None:
        """Answer nothing yet."""
        self._answerers: dict[str, Assistant] = {}
        self._answered: dict[str, float] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""; the process need not run yet."""
        if reason := misfit(arming, self.faults) or _unnamed(arming.component):
            return reason
        return (incapable(_RULE.format(match="")) if arming.component.place.netns else self.lacks(arming.fault)).what

    def lacks(self, _fault: str) -> Lack:
        """Say what of tools, rights, kernel and control groups the host lacks to strike one process; a namespace needs no groups."""
        try:
            hierarchy("")
        except NoGroupError as error:
            return Lack(f"one process's look-ups cannot be told from another's: {error}", error.next)
        return incapable(_RULE.format(match="-m cgroup --path / "))

    def means(self, _fault: str) -> str:
        """Say by what."""
        return f"packet queues and control groups of version 2 in {hierarchy('').root}, by {version()}"

    def prepare(self, arming: Arming) -> Handle:
        """Find whose look-ups they are and choose a queue; make nothing.

        Raises:
            RefuteError: the processes cannot be told for certain, or are in another fault's group (`HOST-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refused(arming, reason)
        handle = handle_for(self.name, arming, queue=free_queue())
        if arming.component.place.netns:
            return handle
        processes, tree = family_of(arming), hierarchy("")
        try:
            before = [tree.group_of(one.pid) for one in processes]
        except OSError as error:
            raise refused(arming, str(error)) from None
        if ours := [group for group in before if OURS in str(group)]:
            raise refused(arming, f"another fault has moved it to {ours[0]}")
        group = before[0] / f"{OURS}{handle.id}"
        more = {
            "processes": [one.to_json() for one in processes], "before": [str(each) for each in before], "group": str(group),
            "path": str(group.relative_to(tree.root)),
        }  # fmt: skip
        return Handle(self.name, "journalled", handle.data | more, handle.id)

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Start what answers, mark the processes by a group of their own, then lead their look-ups away.

        Raises:
            RefuteError: it does not answer, or the rules could not be added (`HOST-REFUSED`); the rollback is then due.
        """
        arming, data = arming_of(handle), handle.data
        permitted(arming, lease)
        try:
            arguments = [str(data["queue"]), str(_CODES[arming.fault])]
            self._answerers[handle.id] = Assistant("_answerer", arguments, Namespace.from_json(data["namespace"]))
            permitted(arming, lease)
            if group := data.get("group"):
                make(Path(group), {}, [one.pid for one in processes_of(handle) if is_running(one)])
                for child in family_of(arming):
                    with suppress(ProcessLookupError):
                        move(child.pid, Path(group))
            answers = _CODES[arming.fault] >= 0
            match = f" -m cgroup --path {data['path']}" if data.get("path") else ""
            jumps = [f"OUTPUT -p {protocol} --dport 53{match}" for protocol in ("udp", "tcp")]
            Filter(handle).put([_QUEUED.format(number=data["queue"]), _NO_TCP[answers]], jumps)
        except (AssistantError, ToolError, OSError) as error:
            raise refused(arming, f"look-ups cannot be led away: {error}") from None

    def landed(self, handle: Handle) -> Landing:
        """Return how many look-ups were answered so."""
        answerer = self._answerers.get(handle.id)
        if answerer is not None and (said := answerer.said()):
            self._answered[handle.id] = float(said)
        if count := self._answered.get(handle.id):
            return Landing(eligible=1, injected=1, effect={"lookups_failed": count})
        return Landing(eligible=1, reason="it has looked up no name")

    def rollback(self, handle: Handle) -> None:
        """Take the rules away, move each process back, and end what answers; that of another process has ended with it."""
        try:
            Filter(handle).remove()
        finally:
            if answerer := self._answerers.pop(handle.id, None):
                answerer.said()
                answerer.end()
        if group := handle.data.get("group"):
            before = [Path(name) for name in handle.data["before"]]
            pairs = zip(processes_of(handle), before, strict=True)
            empty(Path(group), {one.pid: home for one, home in pairs if is_running(one)}, before[0])

    def verify(self, handle: Handle) -> bool:
        """Say whether no rule and no group is left, and nothing answers."""
        group = handle.data.get("group")
        return handle.id not in self._answerers and not (group and Path(group).exists()) and Filter(handle).gone()


def _unnamed(component: Component) -> str:
    return "" if component.place.netns else unnamed(component)


INJECTOR = LookupsInjector()
"""The one of this process."""
