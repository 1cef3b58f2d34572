"""This process's part in runs on live traffic: a door at which a run asks it to join, and what it does while one is joined."""

from __future__ import annotations

import atexit
import os
import platform
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from refute.core.context import UnitContext
from refute.core.errors import Problem, RefuteError
from refute.core.intent import Indicator
from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE, Message
from refute.injectors.agent import Agent, connect
from refute.injectors.door import Door
from refute.injectors.ingress import Ingress
from refute.injectors.registry import in_process
from refute.injectors.transports.outbound import OUTBOUND
from refute.integrations._judge import Judge
from refute.integrations._units import LiveUnit, Units
from refute.safety.state import doors_directory

ROLE = "service"
_PATIENCE_S = 0.02
_NEWS_S = 0.1
_SHOWN_VERSIONS = ("openai", "anthropic", "httpx2", "httpx", "starlette", "fastapi", "django", "flask", "litellm", "langgraph")


class Joined:
    """A run that this process has joined.

    Args:
        observer: what is to know when it is over.
        environ: names the run's link.

    Attributes:
        units: of the phase under way; None between phases.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, observer: Observer, environ: Mapping[str, str]) -> None:
        """Join."""
        self._observer = observer
        self.units: Units | None = None
        self._judge: Judge | None = None
        self._over = threading.Event()
        connection = connect(ROLE, environ, [observer.service])
        self._ingress = Ingress(environ[ADDRESS_VARIABLE], environ[TOKEN_VARIABLE], _PATIENCE_S)
        handlers = {
            "go": self._go,
            "ready": self._ready,
            "watch": self._watch,
            "grant": self._grant,
            "widen": self._widen,
            "unwatch": self._unwatch,
        }
        self.agent = Agent(connection, in_process(), handlers, self._end)

    def start(self) -> None:
        """Do what is asked from now on."""
        self.agent.start()
        threading.Thread(target=self._tell, name="refute-units", daemon=True).start()

    def travelling(self, baggage: str) -> UnitContext | None:
        """Return the unit that another service has begun and a request carries; None where it carries none, or a forged one."""
        return self._ingress.unit(baggage) if baggage else None

    def begin(self, case: Mapping[str, str]) -> LiveUnit | None:
        """Begin a unit; see `Units.begin`."""
        units = self.units
        return None if units is None else units.begin(case)

    def forget(self) -> None:
        """Let go of it in a process that was forked from the one that joined."""
        self.units = None
        OUTBOUND.end()
        self.agent.forget()
        self._ingress.close()

    def _go(self, message: Message) -> Message:
        OUTBOUND.keep_from(message.get("providers", ()))
        return {}

    def _ready(self, message: Message) -> Message:
        self._judge = Judge([Indicator.from_json(data) for data in message["indicators"]])
        return {"versions": _versions()}

    def _watch(self, message: Message) -> Message:
        if self._judge is None:
            raise RefuteError(Problem("LINK-OP", "a phase was begun before the indicators were stated"))
        self.units = Units(message["watch"], self._ingress, self._judge)
        return {}

    def _grant(self, message: Message) -> Message:
        if self.units is not None:
            self.units.grant(message["units"])
        return {}

    def _widen(self, message: Message) -> Message:
        if self.units is not None:
            self.units.widen(message["share"], message["step"])
        return {}

    def _unwatch(self, _message: Message) -> Message:
        if self.units is not None:
            self.units.stop()
        return {}

    def _tell(self) -> None:
        while not self._over.wait(_NEWS_S):
            units = self.units
            if units is not None and not self.agent.send(units.news()):
                return

    def _end(self) -> None:
        self.units = None
        OUTBOUND.end()
        self._over.set()
        if self._judge is not None:
            self._judge.close()
        self._observer.left(self)
        self._ingress.close()


class Observer:
    """One process of a service.

    Args:
        service: its name, which intent files use.

    Attributes:
        joined: the run that it has joined; None mostly. What stands in a request's way looks at this alone.
        present: whether it can be asked to join.
    """

    def __init__(self, service: str) -> None:
        """Do nothing yet."""
        self.service = service
        self.joined: Joined | None = None
        self.present = False
        self._lock = threading.Lock()
        self._door: Door | None = None
        self._last: Joined | None = None

    def appear(self) -> None:
        """Open the door, once. Where that cannot be, the service goes on as if it had none."""
        with self._lock:
            if self.present:
                return
            self.present = True
            door = Door(doors_directory(), ROLE, [self.service], self._join, self._armed)
            try:
                door.__enter__()
            except OSError:
                return
            self._door = door
            atexit.register(door.__exit__)

    def left(self, joined: Joined) -> None:
        """Take note that a run is over."""
        if self.joined is joined:
            self.joined = None

    def forget(self) -> None:
        """Begin anew in a process that was forked from this one: a thread does not survive that, nor a door."""
        self._lock = threading.Lock()
        if self._door is not None:
            atexit.unregister(self._door.__exit__)
            self._door.forget()
        if self.joined is not None:
            self.joined.forget()
        self._door = self.joined = self._last = None
        self.present = False

    def _join(self, environ: Mapping[str, str]) -> str:
        if self.joined is not None:
            return "it serves another run"
        try:
            joined = Joined(self, environ)
        except (OSError, KeyError) as error:
            return f"its link cannot be reached: {error}"
        self.joined = self._last = joined
        joined.start()
        return ""

    def _armed(self) -> list[str]:
        return [] if self._last is None else self._last.agent.armed()


class _Here:
    """What this process is."""

    observer: Observer | None = None
    lock = threading.Lock()


def observer_of(service: str) -> Observer:
    """Return this process's observer.

    Args:
        service: its name; a process is of one service.

    Raises:
        ValueError: it is of another one already.
    """
    with _Here.lock:
        if _Here.observer is None:
            _Here.observer = Observer(service)
            os.register_at_fork(before=_pause, after_in_parent=_go_on, after_in_child=_forget)
        if _Here.observer.service != service:
            raise ValueError(f"this process is of the service {_Here.observer.service!r}, and cannot be of {service!r} too")
        return _Here.observer


def _pause() -> None:
    """Fork between two messages, so that no lock that the agent's thread holds is copied into a process that has no such thread."""
    joined = _Here.observer.joined if _Here.observer is not None else None
    _paused.append(joined)
    if joined is not None:
        joined.agent.turn.acquire()


_paused: list[Joined | None] = []


def _go_on() -> None:
    if (joined := _paused.pop()) is not None:
        joined.agent.turn.release()


def _forget() -> None:
    _go_on()
    if _Here.observer is not None:
        _Here.observer.forget()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _SHOWN_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
