"""The guardian: a process that applies journalled faults for runs, and removes them whatever becomes of the runs.

It is nobody's child: session, lock, socket and log are its own. Whoever holds the lock is the guardian; an understudy waits for the lock
and takes over the moment it dies. A new guardian first removes whatever the journal says is live: the run that it belonged to has lost it.
It ends by itself once nothing is live and nobody has been connected for a while.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from refute import __version__
from refute.core.arming import Injector
from refute.core.link import Message
from refute.core.process import ProcessIdentity, is_running, send, this_process
from refute.injectors.host._processes import is_stopped
from refute.safety._mender import Mender
from refute.safety._post import Post
from refute.safety._ward import Ward
from refute.safety.journal import Journal

IDLE_S = 5.0
_TICK_S = 0.2
_FIRST_MEND_S = 2.0
_LOOK_S = 1.0
_FROZEN_S = 4.0
_OLDEST_LOG_BYTES = 1_000_000
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_STATE_HOME", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")
_UNDERSTUDY = "--understudy"

JournalOf = Callable[[ProcessIdentity], Journal]


class Guardian:
    """Serves runs until nothing is left to guard.

    Args:
        post: where it sits; its lock is held.
        injectors: hands by name.
        journal: makes the journal of a runner.
        idle_s: how long it stays with nothing to do, seconds.
    """

    def __init__(self, post: Post, injectors: Mapping[str, Injector], journal: JournalOf, idle_s: float = IDLE_S) -> None:
        """Serve nobody yet."""
        self._post = post
        self._injectors = injectors
        self._journal = journal
        self._idle_s = idle_s
        self._watched = journal(this_process())
        self._mender = Mender(self._watched, injectors)
        self._wards: dict[int, tuple[threading.Thread, Ward]] = {}
        self._understudy: subprocess.Popen[bytes] | None = None
        self._told = False

    def serve(self) -> None:
        """Remove what is left over, then serve until idle or told to end."""
        self._mender.take_orphans(set())
        self._mender.start()
        self._mender.wait_empty(_FIRST_MEND_S)
        with self._post.listen() as listener:
            self._keep_understudy()
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            busy_s = time.monotonic()
            while not self._told and time.monotonic() - busy_s < self._idle_s:
                if poll.poll(_TICK_S * 1000):
                    self._welcome(listener)
                self._keep_understudy()
                if self._busy():
                    busy_s = time.monotonic()
            self._post.leave()
        self._close()

    def end(self, *_signal: object) -> None:
        """Have it remove everything and end."""
        self._told = True

    def _welcome(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        handlers = {"hello": self._hello, "status": self._status, "abort": self._abort, "mend": self._mend}
        ward = Ward(connection, self._journal, self._injectors, self._mender, handlers)
        thread = threading.Thread(target=ward.serve, name="refute-ward", daemon=True)
        self._wards[connection.fileno()] = (thread, ward)
        thread.start()

    def _busy(self) -> bool:
        self._wards = {number: pair for number, pair in self._wards.items() if pair[0].is_alive()}
        return bool(self._wards) or bool(self._mender.resisting())

    def _close(self) -> None:
        """Let every run's faults go, see that they are gone, and dismiss the understudy before the lock falls."""
        self._abort({})
        for thread, _ in list(self._wards.values()):
            thread.join(_FIRST_MEND_S)
        if self._mender.wait_empty(_FIRST_MEND_S) and self._understudy is not None:
            self._understudy.kill()
            self._understudy.wait()
        self._mender.stop()

    def _keep_understudy(self) -> None:
        if self._understudy is None or self._understudy.poll() is not None:
            with contextlib.suppress(OSError):  # without one the runner still sees the guardian die, and starts another
                self._understudy = _spawned(self._post, _UNDERSTUDY)

    def _hello(self, _message: Message) -> Message:
        return {"version": __version__, "process": this_process().to_json()}

    def _status(self, _message: Message) -> Message:
        runs = [ward.status() for _, ward in list(self._wards.values()) if ward.live()]
        understudy = self._understudy.pid if self._understudy is not None and self._understudy.poll() is None else None
        return {"pid": os.getpid(), "understudy": understudy, "runs": runs, "mending": self._mender.resisting()}

    def _abort(self, _message: Message) -> Message:
        """End every lease."""
        for _, ward in list(self._wards.values()):
            ward.revoke()
        return {}

    def _mend(self, message: Message) -> Message:
        """Try everything that resists once more, now, and give what is being removed a moment."""
        until_s = time.monotonic() + float(message.get("wait_s", _FIRST_MEND_S))
        mine = set().union(*(ward.live() for _, ward in list(self._wards.values())))
        self._mender.take_orphans(mine)
        while (self._orphaned() or self._mender.resisting()) and time.monotonic() < until_s:
            time.sleep(_TICK_S / 10)
        return {"mending": self._mender.resisting()}

    def _orphaned(self) -> bool:
        """Say whether a journalled fault is live whose runner is gone."""
        return any(entry.handle.rollback == "journalled" and not is_running(entry.runner) for entry in self._watched.live())


def start(post: Post) -> None:
    """Start a guardian that is nobody's child; where there is one already, the new one ends at once.

    Raises:
        OSError: no process can be started.
        subprocess.TimeoutExpired: the machine is far too busy.
    """
    _spawned(post).wait(10)  # the first child forks the guardian and ends


def _spawned(post: Post, *arguments: str) -> subprocess.Popen[bytes]:
    """Start this module in a session of its own, with nothing of ours but its log; no secret of the environment goes along."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]))
    environ = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | {"PYTHONPATH": path}
    with _opened(post.log) as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "refute.safety.guardian", str(post.directory), *arguments],
            cwd="/", env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    """Open the log, anew where it has grown long; where it cannot be written, nothing is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        long = path.exists() and path.stat().st_size > _OLDEST_LOG_BYTES
        descriptor = os.open(path, flags | (os.O_TRUNC if long else 0), 0o600)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _detach() -> None:
    """Become a child of the system: the caller's own child ends here."""
    if os.fork():
        os._exit(0)


def _spare_me() -> None:
    """Ask the kernel to end others first when memory runs out; only a privileged process may."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("-900", "ascii")


def _end_the_frozen(post: Post, taken: threading.Event) -> None:
    """End a guardian that somebody has stopped: it holds the lock, and what it has applied ends with no lease.

    Args:
        post: where it sits.
        taken: set once the lock is ours.
    """
    stopped = 0
    while not taken.wait(_LOOK_S):
        holder = post.holder()
        stopped = stopped + 1 if holder is not None and is_stopped(holder) else 0
        if holder is not None and stopped * _LOOK_S >= _FROZEN_S:
            with contextlib.suppress(OSError):
                send(holder, signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    """Be the guardian, or wait to be.

    Args:
        arguments: the directory of the post; then `--understudy` for one that waits.
    """
    from refute.injectors.registry import injectors

    directory, waits = Path(arguments[0]), _UNDERSTUDY in arguments
    post = Post(directory)
    if not waits:
        _detach()
    taken = threading.Event()
    if waits:
        threading.Thread(target=_end_the_frozen, args=(post, taken), name="refute-frozen", daemon=True).start()
    lock = post.take(None if waits else 0.0)
    taken.set()
    if lock is None:
        return
    guardian = Guardian(post, injectors(), lambda runner: Journal(directory.parent / "journal", runner=runner))
    signal.signal(signal.SIGTERM, guardian.end)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _spare_me()
    guardian.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
