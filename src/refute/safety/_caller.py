"""What the guardian of this host does for one caller of another, over a connection whose other end is known.

| asked | answered |
| --- | --- |
| `hello` | {version, process} |
| `choose` {arming} | {injector}: what would carry it out here |
| `prepare` {arming} | {handle}: made here, changes nothing, good for a few seconds |
| `arm` {handle, experiment, ttl_s} | {}: `handle` is the id of one that this very connection has prepared |
| `renew` {ttl_s}, `disarm` | as the guardian answers |
| `undo` {handle} | {state, reason}: sees to it that a caller's fault is gone; state "" or `verified` says that it is |
| `relay` {endpoint, token} | {}: from then on the connection is the link of a proxy of this host |
| `look` | {guardian, live, damaged} |
| `abilities` | {abilities}: what this host permits, as `refute doctor` tells it |
| `mend` | what `refute recover` would say here |
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, cast

from refute import __version__
from refute.core.arming import Arming, Handle, Injector
from refute.core.clock import lease_now_s
from refute.core.errors import Problem, RefuteError, refuse
from refute.core.link import Message
from refute.core.process import terminate, this_process
from refute.core.system import Place
from refute.core.zone import Zone
from refute.injectors.host.abilities import abilities
from refute.injectors.registry import choose, injectors
from refute.safety import doctor
from refute.safety._home import at_home, seen_from
from refute.safety._lines import Lines
from refute.safety._post import Post
from refute.safety._relay import armed_in, joined, splice
from refute.safety.journal import Entry, Journal
from refute.safety.mend import mend
from refute.safety.summon import ask_now, summon

FRESH_S = 3.0
"""How long a prepared handle is good for: a request that a cut line delivers later applies nothing."""
_ANSWER_S = 10.0
_UNDO_S = 4.0
_TICK_S = 0.05


class Caller:
    """One caller.

    Args:
        lines: to the caller.
        name: of its certificate.
        post: of this host's guardian.
        journal: of this host.
        port: at which it came in; no fault may touch it.
    """

    def __init__(self, lines: Lines, name: str, post: Post, journal: Journal, port: int) -> None:
        """Know nothing of it yet."""
        self._lines = lines
        self._name = name
        self._post = post
        self._journal = journal
        self._port = port
        self._doors = journal.directory.parent / "doors"
        self._prepared: dict[str, tuple[Handle, float, Place]] = {}
        self._guardian: Lines | None = None
        self._relayed: socket.socket | None = None
        self._last = 0
        self._operations = {
            "hello": self._hello, "choose": self._choose, "prepare": self._prepare, "arm": self._arm, "renew": self._renew,
            "disarm": self._disarm, "undo": self._undo, "relay": self._relay, "look": self._look, "mend": self._mend,
            "abilities": self._abilities,
        }  # fmt: skip

    def serve(self) -> None:
        """Serve until the other end is gone or says what makes no sense; this process then ends, and with it the permission."""
        with suppress(OSError, ValueError):
            while True:
                message = self._lines.receive(None)
                number = message.get("id")
                if not isinstance(number, int) or number <= self._last:
                    raise ValueError("a message out of order")
                self._last = number
                self._lines.send({**self._answer(message), "id": number}, _ANSWER_S)
                if self._relayed is not None:
                    splice(cast("ssl.SSLSocket", self._lines.connection), self._relayed)
                    return

    def _answer(self, message: Message) -> Message:
        try:
            return {"ok": True, **self._operations.get(str(message.get("op")), _unknown)(message)}
        except RefuteError as error:
            return {"ok": False, "problems": [problem.to_json() for problem in error.problems]}
        except Exception as error:  # noqa: BLE001 - whatever a hand or a message does, the caller must hear of it
            problem = Problem("LINK-FAILED", "the guardian could not do it", seen=f"{type(error).__name__}: {error}")
            return {"ok": False, "problems": [problem.to_json()]}

    def _hello(self, _message: Message) -> Message:
        return {"version": __version__, "process": this_process().to_json()}

    def _choose(self, message: Message) -> Message:
        return {"injector": self._hand(_brought_home(message)).name}

    def _prepare(self, message: Message) -> Message:
        """Make a handle here, where its target is. What a caller says of a handle is never believed: one can be made to undo anything."""
        arming = _brought_home(message)
        handle = self._hand(arming).prepare(arming)
        handle = replace(handle, data={**handle.data, "by": self._name})
        self._prepared[handle.id] = handle, lease_now_s() + FRESH_S, Arming.from_json(message["arming"]).component.place
        return {"handle": handle.to_json()}

    def _hand(self, arming: Arming) -> Injector:
        if arming.component.port == self._port:
            seen = f"port {self._port} is the guardian's own"
            raise refuse("HOST-REFUSED", f"{arming.fault} cannot be done here", where=arming.component.name, seen=seen)
        hand = choose(arming)
        if hand.rollback_kind != "journalled":
            raise refuse("HOST-REFUSED", "a guardian applies what outlives its process", where=arming.component.name, seen=arming.fault)
        return hand

    def _arm(self, message: Message) -> Message:
        """Apply what was prepared a moment ago, once."""
        handle, until_s, place = self._prepared.pop(str(message["handle"]), (None, 0.0, Place()))
        if handle is None or lease_now_s() > until_s:
            seen = "it was prepared too long ago" if handle is not None else "it was not prepared on this connection, or was used"
            raise refuse("GUARDIAN-STALE", "the guardian applies what it has just prepared, and nothing else", seen=seen)
        zone = seen_from(place, Zone.from_json(message.get("off_limits", ())))
        return self._ask(
            "arm", handles=[handle.to_json()], experiment=str(message["experiment"]), ttl_s=float(message["ttl_s"]),
            runner=this_process().to_json(), by=self._name, off_limits=zone.to_json(),
        )  # fmt: skip

    def _renew(self, message: Message) -> Message:
        return self._ask("renew", ttl_s=float(message["ttl_s"]))

    def _disarm(self, _message: Message) -> Message:
        return self._ask("disarm")

    def _undo(self, message: Message) -> Message:
        """See to it that a fault is gone, whichever connection had it applied; one that was only prepared must have become stale."""
        name, since_s = str(message["handle"]), lease_now_s()
        mine = self._prepared.pop(name, None) is not None
        while (now_s := lease_now_s()) < since_s + max(_UNDO_S, FRESH_S + 2 * _TICK_S):
            state = self._journal.state(name)
            if state == "verified" or (state is None and (mine or now_s > since_s + FRESH_S)):
                armed = armed_in(self._doors, name) if state is None else ""
                return {"state": "applied" if armed else state or "", "reason": armed}
            if (entry := self._entry(name)) is not None:
                self._end(entry)
            time.sleep(_TICK_S)
        return {"state": self._journal.state(name) or "", "reason": self._resistance(name)}

    def _entry(self, name: str) -> Entry | None:
        return next((entry for entry in self._journal.live() if entry.handle.id == name and entry.handle.data.get("by")), None)

    def _end(self, entry: Entry) -> None:
        """Take the permission from whoever has it, and have the guardian remove the fault."""
        if entry.runner != this_process():
            terminate(entry.runner)
        if ask_now(self._post, "mend", wait_s=0.5) is None:
            summon(self._post)  # a new one begins with what is left over

    def _resistance(self, name: str) -> str:
        status = ask_now(self._post, "status") or {"mending": []}
        return next((str(one["reason"]) for one in status["mending"] if one["handle"] == name), "the guardian is at it")

    def _relay(self, message: Message) -> Message:
        self._relayed = joined(self._doors, str(message["endpoint"]), str(message["token"]))
        return {}

    def _look(self, _message: Message) -> Message:
        damaged = [str(path) for path in self._journal.damaged()]
        return {"guardian": doctor.guardian(self._journal), "live": doctor.live(self._journal), "damaged": damaged}

    def _abilities(self, _message: Message) -> Message:
        return {"abilities": [asdict(one) for one in abilities()]}

    def _mend(self, _message: Message) -> Message:
        return mend(self._journal, injectors()).to_json()

    def _ask(self, op: str, **fields: Any) -> Message:
        """Ask the guardian, as a run of this host would.

        Raises:
            RefuteError: it is gone (`GUARDIAN-LOST`), or there can be none.
        """
        try:
            if self._guardian is None:
                summon(self._post)
                self._guardian = Lines(self._post.connect())
            return self._guardian.ask(op, _ANSWER_S, **fields)
        except (OSError, ValueError) as error:
            self._guardian = None
            raise refuse("GUARDIAN-LOST", "the guardian is gone; whoever takes over removes the fault", seen=f"{op}: {error}") from None


def _unknown(message: Message) -> Message:
    raise refuse("LINK-OP", "the guardian was asked for something unknown", seen=str(message.get("op")))


def _brought_home(message: Message) -> Arming:
    """Return an arming as this host sees it: what is far for the caller is here."""
    arming = Arming.from_json(message["arming"])
    return replace(arming, component=at_home(arming.component))
