"""What a program does before its first line when it is started by `refute try` or `refute exec`."""

from __future__ import annotations

import atexit
import os
import threading

from refute.core.context import UnitContext
from refute.core.link import Message
from refute.injectors.agent import Agent, connect
from refute.injectors.boot.watch import Exceptions
from refute.injectors.registry import injectors
from refute.injectors.switch import adopt_strays

ALONE_VARIABLE = "REFUTE_ALONE"
_ARMED_S = 5.0


def join() -> None:
    """Join the link and wait until armed; where nobody listens the program simply runs, unarmed.

    With `REFUTE_ALONE` set, all calls of the process belong to one unit in treatment.
    """
    armed = threading.Event()
    exceptions = Exceptions()

    def go(_message: Message) -> Message:
        armed.set()
        return {}

    try:
        connection = connect("exec")
    except (OSError, KeyError):
        return
    if os.environ.get(ALONE_VARIABLE):
        adopt_strays(UnitContext("process", "treatment"), exceptions.watch)
    agent = Agent(connection, injectors(), {"go": go}, on_end=armed.set)
    agent.start()
    armed.wait(_ARMED_S)
    atexit.register(lambda: agent.send({"op": "leaving", "landings": agent.landings(), "exceptions": exceptions.seen()}))
