"""What a program does before its first line when it is started by `refute try` or `refute exec`."""

from __future__ import annotations

import atexit
import os
import threading

from refute.core.context import UnitContext
from refute.core.link import Message
from refute.injectors.agent import Agent, connect
from refute.injectors.boot.watch import Exceptions
from refute.injectors.registry import in_process
from refute.injectors.switch import adopt_strays

ALONE_VARIABLE = "REFUTE_ALONE"
_ARMED_S = 5.0


class _Here:
    """This process's end of the link, once it has joined."""

    agent: Agent | None = None


def join() -> None:
    """Join the link and wait until armed; where nobody listens the program simply runs, unarmed. What it forks joins, too.

    With `REFUTE_ALONE` set, all calls of the process belong to one unit in treatment.
    """
    _Here.agent = _joined()
    if _Here.agent is not None:
        os.register_at_fork(after_in_child=_join_after_fork)


def _join_after_fork() -> None:
    """Join anew: threads do not survive a fork, and with them whatever renews or ends what was armed in the parent."""
    if _Here.agent is not None:
        _Here.agent.forget()
        _Here.agent = _joined()


def _joined() -> Agent | None:
    armed = threading.Event()
    exceptions = Exceptions()

    def go(_message: Message) -> Message:
        armed.set()
        return {}

    try:
        connection = connect("exec")
    except (OSError, KeyError):
        return None
    if os.environ.get(ALONE_VARIABLE):
        adopt_strays(UnitContext("process", "treatment"), exceptions.watch)
    agent = Agent(connection, in_process(), {"go": go}, on_end=armed.set)
    agent.start()
    armed.wait(_ARMED_S)
    atexit.register(lambda: agent.send({"op": "leaving", "landings": agent.landings(), "exceptions": exceptions.seen()}))
    return agent
