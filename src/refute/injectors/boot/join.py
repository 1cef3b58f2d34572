"""What a program does before its first line when it is started by `refute try`."""

from __future__ import annotations

import atexit
import os
import threading

from refute.core.context import UnitContext
from refute.core.link import Message
from refute.injectors._awaited import at_the_start
from refute.injectors.agent import Agent, connect
from refute.injectors.boot.watch import Exceptions
from refute.injectors.registry import in_process
from refute.injectors.switch import adopt_strays
from refute.injectors.transports.outbound import OUTBOUND

ALONE_VARIABLE = "REFUTE_ALONE"
_ARMED_S = 5.0


class _Here:
    """This process's end of the link, once it has joined, and what it has seen of the client library's exceptions."""

    agent: Agent | None = None
    exceptions = Exceptions()


def join() -> None:
    """Join the link and wait until armed; where nobody listens the program simply runs, unarmed. What it forks joins, too.

    With `REFUTE_ALONE` set, all calls of the process belong to one unit in treatment.
    """
    at_the_start()
    _Here.agent = _joined()
    if _Here.agent is not None:
        os.register_at_fork(before=_wait_for_pause, after_in_parent=_go_on, after_in_child=_join_after_fork)
        atexit.register(_leave)


def _wait_for_pause() -> None:
    """Fork between two messages, so that no lock that the agent's thread holds is copied into a process that has no such thread."""
    if _Here.agent is not None:
        _Here.agent.turn.acquire()


def _go_on() -> None:
    if _Here.agent is not None:
        _Here.agent.turn.release()


def _join_after_fork() -> None:
    """Join anew: threads do not survive a fork, and with them whatever renews or ends what was armed in the parent."""
    parents = _Here.agent
    if parents is not None:
        parents.turn.release()
        parents.forget()
        _Here.exceptions = Exceptions()
        _Here.agent = _joined()


def _leave() -> None:
    """Say goodbye over this process's own link: a parent's is not spoken on, nor are its locks touched."""
    if _Here.agent is not None:
        _Here.agent.send({"op": "leaving", "landings": _Here.agent.landings(), "exceptions": _Here.exceptions.seen()})


def _joined() -> Agent | None:
    armed = threading.Event()

    def go(message: Message) -> Message:
        OUTBOUND.keep_from(message.get("providers", ()))
        armed.set()
        return {}

    def over() -> None:
        OUTBOUND.end()
        armed.set()

    try:
        connection = connect("exec")
    except (OSError, KeyError):
        return None
    if os.environ.get(ALONE_VARIABLE):
        adopt_strays(UnitContext("process", "treatment"), _Here.exceptions.watch)
    agent = Agent(connection, in_process(), {"go": go}, on_end=over)
    agent.start()
    armed.wait(_ARMED_S)
    return agent
