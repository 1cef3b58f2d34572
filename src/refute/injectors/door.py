"""How a process that runs for long is found and asked to join a run: a private Unix socket, and a file that names it.

The file lies in a folder of the user's own; the socket in one that nobody else may enter. Through the door comes an invitation
alone: what is armed is armed over the link that it names, and ends with it.

| asked | answered |
| --- | --- |
| `join` {link, token} | {ok} or {ok: false, why} |
| `armed` {} | {ok, handles}: what is armed there now |
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from refute.core.hosts import same_origin
from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE, Message, decode, encode

_PATIENCE_S = 5.0
_MAX_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Sign:
    """What stands on a door.

    Attributes:
        pid: process id.
        role: what the process is: `proxy`, `service` or `exec`.
        serves: base URLs that it stands before, or the name of the service or program.
        address: path of its socket.
    """

    pid: int
    role: str
    serves: tuple[str, ...]
    address: str

    def stands_before(self, url: str) -> bool:
        """Say whether it serves the origin of a URL."""
        return any(same_origin(one, url) for one in self.serves)


class Door:
    """The door of this process; use as a context manager.

    Args:
        folder: where doors are looked for.
        role: what this process is.
        serves: see `Sign`.
        join: joins the link of an environment; returns why not, or "".
        armed: returns the ids of what is armed here.
    """

    def __init__(
        self, folder: Path, role: str, serves: Sequence[str], join: Callable[[Mapping[str, str]], str], armed: Callable[[], list[str]]
    ) -> None:
        """Open nothing yet."""
        self._place = _place(folder, os.getpid(), role)
        self._room = Path(tempfile.mkdtemp(prefix="refute-"))  # mode 0700; a path short enough for a socket
        self._sign = Sign(os.getpid(), role, tuple(serves), str(self._room / "door"))
        self._join, self._armed = join, armed
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        """Open."""
        clear(self._place.parent)
        self._socket.bind(self._sign.address)
        Path(self._sign.address).chmod(0o600)
        self._socket.listen()
        threading.Thread(target=self._serve, name="refute-door", daemon=True).start()
        self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._place.with_suffix(".new")
        new.write_text(json.dumps(asdict(self._sign)))
        new.chmod(0o600)
        new.replace(self._place)
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close, and take the sign off."""
        self._place.unlink(missing_ok=True)
        self._socket.close()
        shutil.rmtree(self._room, ignore_errors=True)

    def forget(self) -> None:
        """Let go of it in a process that was forked from the one whose door it is."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller, contextlib.suppress(OSError, ValueError, KeyError):
                caller.settimeout(_PATIENCE_S)
                caller.sendall(encode(self._answer(decode(_line(caller)))))

    def _answer(self, message: Message) -> Message:
        if message.get("op") == "armed":
            return {"ok": True, "handles": self._armed()}
        why = self._join({ADDRESS_VARIABLE: str(message["link"]), TOKEN_VARIABLE: str(message["token"])})
        return {"ok": not why, "why": why}


def _place(folder: Path, pid: int, role: str) -> Path:
    """Return the path of a sign: a process may have a door for each of its roles."""
    return folder / f"{pid}-{role}.json"


def signs(folder: Path) -> Iterator[Sign]:
    """Yield the signs of the doors in a folder; those that a killed process has left lead nowhere.

    Args:
        folder: of doors; it need not exist.
    """
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            data: dict[str, Any] = json.loads(path.read_text())
            yield Sign(int(data["pid"]), str(data["role"]), tuple(map(str, data["serves"])), str(data["address"]))


def clear(folder: Path) -> None:
    """Take off the signs of doors at which nobody can answer any more: their processes were killed.

    Args:
        folder: of doors; it need not exist.
    """
    for sign in signs(folder):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
            own.settimeout(_PATIENCE_S)
            try:
                own.connect(sign.address)
            except (ConnectionRefusedError, FileNotFoundError):
                _place(folder, sign.pid, sign.role).unlink(missing_ok=True)
                shutil.rmtree(Path(sign.address).parent, ignore_errors=True)
            except OSError:
                continue


def armed_at(sign: Sign) -> list[str]:
    """Return the ids of what the process behind a door says is armed in it.

    Raises:
        OSError: nobody is there.
        ValueError: the answer is garbled.
    """
    return list(map(str, knock(sign, op="armed").get("handles", [])))


def knock(sign: Sign, **message: Any) -> Message:
    """Ask at a door and return the answer.

    Raises:
        OSError: nobody is there.
        ValueError: the answer is garbled.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
        own.settimeout(_PATIENCE_S)
        own.connect(sign.address)
        own.sendall(encode(message))
        return decode(_line(own))


def is_disarmed(folder: Path, pid: int, handle: str) -> bool:
    """Say whether a living process says at its door that a handle is not armed in it; False where it has no door, or is silent.

    Args:
        folder: of doors.
        pid: of the process.
        handle: the handle's id.
    """
    heard = []
    for sign in signs(folder):
        if sign.pid == pid:
            with contextlib.suppress(OSError, ValueError):
                answer = knock(sign, op="armed")
                heard.append(bool(answer.get("ok")) and handle not in answer.get("handles", [handle]))
    return bool(heard) and all(heard)


def armed_behind(folder: Path, handle: str) -> Iterator[int]:
    """Yield the processes that say at their doors that a handle is armed in them.

    Args:
        folder: of doors.
        handle: the handle's id.
    """
    for sign in signs(folder):
        with contextlib.suppress(OSError, ValueError):
            if handle in knock(sign, op="armed").get("handles", []):
                yield sign.pid


def invite(sign: Sign, environ: Mapping[str, str]) -> str:
    """Ask the process behind a door to join the link that an environment names; return why it does not, or ""."""
    try:
        answer = knock(sign, op="join", link=environ[ADDRESS_VARIABLE], token=environ[TOKEN_VARIABLE])
    except (OSError, ValueError) as error:
        return f"nobody answers at its door: {error}"
    return "" if answer.get("ok") else str(answer.get("why", "it would not"))


def _line(own: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _MAX_BYTES:
        piece = own.recv(_MAX_BYTES)
        if not piece:
            break
        line += piece
    return line
