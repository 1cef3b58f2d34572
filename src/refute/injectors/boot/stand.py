"""What a program does before its first line under `refute exec`: opens a door, and stands idle until a run asks it to join.

Nothing else of Refute is imported before that, no hook is there, and after the run none is left.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from refute.injectors.door import Door

if TYPE_CHECKING:
    from refute.core.link import Message
    from refute.injectors.agent import Agent

NAME_VARIABLE = "REFUTE_EXEC"
DOORS_VARIABLE = "REFUTE_DOORS"
ROLE = "exec"
_ARMED_S = 5.0


def stand() -> None:
    """Open the door that the environment names; what the program forks gets one of its own."""
    program = Program(os.environ[NAME_VARIABLE], Path(os.environ[DOORS_VARIABLE]))
    program.open()
    os.register_at_fork(before=program.pause, after_in_parent=program.go_on, after_in_child=program.begin_again)
    atexit.register(program.leave)


class Program:
    """This process, to runs.

    Args:
        name: the program's; the processes that it starts bear it too.
        folder: of doors.
    """

    def __init__(self, name: str, folder: Path) -> None:
        """Stand nowhere yet."""
        self._name, self._folder = name, folder
        self._lock = threading.RLock()
        self._door: Door | None = None
        self._agent: Agent | None = None
        self._environ: Mapping[str, str] = {}
        self._paused: Agent | None = None

    def open(self) -> None:
        """Open a door; where that cannot be, the program runs without."""
        door = Door(self._folder, ROLE, (self._name,), self.join, self.armed)
        try:
            self._door = door.__enter__()
        except OSError as error:
            sys.stderr.write(f"refute: process {os.getpid()} runs unarmed: it has no door: {error}\n")

    def join(self, environ: Mapping[str, str]) -> str:
        """Join the link that an environment names, and leave it when its other end does.

        Returns:
            Why not, or "".
        """
        return self._joined(environ, threading.Event())

    def armed(self) -> list[str]:
        """Return the ids of the handles that are armed here now."""
        agent = self._agent
        return agent.armed() if agent is not None else []

    def pause(self) -> None:
        """Fork between two messages, so that no lock that another thread of ours holds is copied into a process without that thread."""
        self._lock.acquire()
        self._paused = self._agent
        if self._paused is not None:
            self._paused.turn.acquire()

    def go_on(self) -> None:
        """Go on after a fork."""
        if self._paused is not None:
            self._paused.turn.release()
        self._lock.release()

    def begin_again(self) -> None:
        """Let go of what is the parent's, in a process that was forked from it, and join its run before the first line."""
        parents, environ = self._agent, self._environ
        self.go_on()
        if parents is not None:
            parents.forget()
            self._left()
        if self._door is not None:
            self._door.forget()
        self.open()
        if parents is not None:
            armed = threading.Event()
            if not self._joined(environ, armed):
                armed.wait(_ARMED_S)

    def leave(self) -> None:
        """Say goodbye."""
        if self._agent is not None:
            self._agent.send({"op": "leaving", "landings": self._agent.landings(), "exceptions": {}})
        if self._door is not None:
            self._door.__exit__()

    def _joined(self, environ: Mapping[str, str], armed: threading.Event) -> str:
        from refute.injectors.agent import Agent, connect
        from refute.injectors.boot.entrances import ENTRANCES
        from refute.injectors.ingress import enter
        from refute.injectors.registry import in_process
        from refute.injectors.transports.outbound import OUTBOUND

        def go(message: Message) -> Message:
            OUTBOUND.keep_from(message.get("providers", ()))
            armed.set()
            return {}

        with self._lock:
            if self._agent is not None:
                return "it serves another run"
            try:
                connection = connect(ROLE, environ, (self._name,))
            except (OSError, KeyError) as error:
                return f"its link cannot be reached: {error}"
            enter(environ)
            ENTRANCES.install()
            self._environ = environ
            self._agent = Agent(connection, in_process(), {"go": go}, self._left)
            self._agent.start()
        return ""

    def _left(self) -> None:
        """Be as before the run."""
        from refute.injectors.boot.entrances import ENTRANCES
        from refute.injectors.ingress import leave
        from refute.injectors.transports.outbound import OUTBOUND

        OUTBOUND.end()
        with self._lock, contextlib.suppress(OSError):
            ENTRANCES.remove()
            leave()
            self._agent, self._environ = None, {}
