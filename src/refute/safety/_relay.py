"""Has a proxy of this host join the link of a run on another: the bytes of that link go through the caller's own connection."""

from __future__ import annotations

import select
import shutil
import socket
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

from refute.core.errors import refuse
from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE
from refute.injectors.door import armed_at, invite, signs

_JOIN_S = 5.0
_STALL_S = 10.0
_CHUNK = 65536


def joined(doors: Path, endpoint: str, token: str) -> socket.socket:
    """Have a proxy that stands before an endpoint join, and return its end of the link.

    Args:
        doors: directory of doors of this host.
        endpoint: URL at which the component is reached.
        token: of the run's link.

    Raises:
        RefuteError: none stands before it, or none would join (`PROXY-NONE`).
    """
    room = Path(tempfile.mkdtemp(prefix="refute-"))  # mode 0700
    refusals = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(room / "link"))
            listener.listen(1)
            listener.settimeout(_JOIN_S)
            for sign in signs(doors):
                if sign.role != "proxy" or not sign.stands_before(endpoint):
                    continue
                if not (why := invite(sign, {ADDRESS_VARIABLE: str(room / "link"), TOKEN_VARIABLE: token})):
                    with suppress(TimeoutError):
                        return listener.accept()[0]
                refusals.append(f"process {sign.pid}: {why or 'it did not come'}")
    finally:
        shutil.rmtree(room, ignore_errors=True)
    seen = "; ".join(refusals) or "none was found"
    raise refuse("PROXY-NONE", "no proxy stands there", seen=seen, next=f"refute proxy --upstream {endpoint}")


def armed_in(doors: Path, handle: str) -> str:
    """Say which process of this host says at its door that a handle is armed in it, "" where none does.

    Args:
        doors: directory of doors.
        handle: its id.
    """
    for sign in signs(doors):
        with suppress(OSError, ValueError):
            if handle in armed_at(sign):
                return f"process {sign.pid} has it armed until its lease ends"
    return ""


def splice(far: ssl.SSLSocket, near: socket.socket) -> None:
    """Hand everything on, in both directions, until either end closes, or does not take what it is sent.

    Args:
        far: connection to the other host.
        near: connection on this one.
    """
    poll = select.poll()
    poll.register(far, select.POLLIN)
    poll.register(near, select.POLLIN)
    with suppress(OSError):
        while True:
            ready = {number for number, _ in poll.poll(0 if far.pending() else None)}
            if near.fileno() in ready:
                if not (chunk := near.recv(_CHUNK)):
                    return
                far.settimeout(_STALL_S)
                far.sendall(chunk)
            if (far.pending() or far.fileno() in ready) and (read := _read(far)) is not None:
                if not read:
                    return
                near.settimeout(_STALL_S)
                near.sendall(read)


def _read(far: ssl.SSLSocket) -> bytes | None:
    """Return what there is, None where no whole record is there yet."""
    far.settimeout(0)
    with suppress(ssl.SSLWantReadError):
        return far.recv(_CHUNK)
    return None
