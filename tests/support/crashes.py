"""Crash trials: a run, its guardian and what it breaks, with kill -9 at a step of the journal or at an instant; then, is all well again?

Processes are forked from this one, so that a trial takes about a second; the understudy is started as ever. Whether the fault is gone is
seen from outside, by what a client of the target feels, or the target is dead because it was killed. Faults that a simple target does not
feel have a service of its own program, which a supervisor starts again where only that can undo the fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from whole_services import Service, resolver, serving

from refute.core.arming import Arming, Handle, Injector
from refute.core.errors import RefuteError
from refute.core.process import ProcessIdentity, identity_of
from refute.core.system import Component, Place
from refute.injectors.registry import choose, injectors
from refute.safety._post import Post
from refute.safety.guard import Guard
from refute.safety.guardian import Guardian
from refute.safety.journal import STATES, Journal
from refute.safety.mend import mend

TTL_S = 0.6
HOLD_S = 0.5
ALLOWED_S = 5.0
"""After the lease has ended, no fault may be live for longer."""
QUICK_S = 0.25


def unlimited(service: Service) -> bool:
    """The kernel's own word, which a busy machine does not change: it is in no control group of a fault."""
    return service.process is not None and "refute-" not in Path(f"/proc/{service.process.pid}/cgroup").read_text()


FELT: dict[str, tuple[float | None, Callable[[Service], bool]]] = {
    "process.cpu": (5.0, unlimited),
    "process.memory": (None, lambda service: service.ask("memory") == "got"),
    "process.oom": (16.0, lambda service: service.ask("memory") == "got"),
    "process.fd_exhaustion": (1.0, lambda service: service.ask("file") == "opened"),
    "process.clock_skew": (None, lambda service: service.ask_the_time() == "right"),
    "process.clock_back": (None, lambda service: service.ask_the_time() == "right"),
    "dns.error": (None, lambda service: service.look_up() == "code 0"),
    "dns.not_found": (None, lambda service: service.look_up() == "code 0"),
    "dns.timeout": (None, lambda service: service.look_up() == "code 0"),
    "tls.expired": (None, lambda service: service.ask("well") == "well"),
    "disk.slow": (50.0, unlimited),
}
"""Magnitude, and whether a client is served as ever, by fault of those that need a service."""
SIMPLE = (
    "process.pause", "network.partition", "network.delay", "network.reset", "network.loss", "network.bandwidth", "disk.full",
)  # fmt: skip
FAULTS = (*SIMPLE, *FELT)
"""Every fault that the guardian removes; a killed process is for others to start again."""

UNREACHED = "the step was never reached"
WHO = ("runner", "guardian", "target")
STEPS = tuple(f"{when} {state}" for state in STATES for when in ("before", "after"))


@dataclass(frozen=True)
class Kill:
    """Who is killed, and when: at a step of the journal, or so many seconds after the run began."""

    who: tuple[str, ...]
    step: str = ""
    at_s: float = 0.0

    def __str__(self) -> str:
        when = " ".join(filter(None, [f"at {self.at_s:.3f} s" if self.at_s or not self.step else "", self.step]))
        return f"{'+'.join(self.who)} {when}"


@dataclass
class Trial:
    """What became of one."""

    kill: Kill
    fault: str
    lease_s: float = TTL_S
    kills: int = 0
    seconds: float = 0.0
    by_recover: bool = False
    wrong: list[str] = field(default_factory=list)


def steps() -> Iterator[Kill]:
    """Every single victim and every pair at every step."""
    for step in STEPS:
        for who in [(one,) for one in WHO] + [("runner", "guardian"), ("target", "guardian"), ("target", "runner")]:
            yield Kill(who, step)


def instants(seed: int) -> Iterator[Kill]:
    """Any of them, alone and together, at any time."""
    rng = random.Random(seed)
    everybody = (*WHO, "understudy")
    while True:
        who = rng.sample(everybody, rng.choice([1, 1, 1, 2, 2, 3, 4]))
        yield Kill(tuple(sorted(who)), at_s=rng.uniform(0.0, 0.9))


class Killing(Journal):
    """A journal at whose steps somebody dies."""

    kill: Kill
    pids: dict[str, int]

    def advance(self, handle: Handle, state, **more) -> None:
        self._strike(f"before {state}")
        super().advance(handle, state, **more)
        self._strike(f"after {state}")

    def _strike(self, step: str) -> None:
        if step != self.kill.step or not self.pids:
            return
        pids = self.pids | {"runner": self._runner.pid}
        (self.directory.parent / "struck").touch()
        for who in sorted(self.kill.who, key=lambda who: who == "guardian"):  # itself last
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[who], signal.SIGKILL)


def forked(work: Callable[[], None], log: Path) -> int:
    """Run something in a process of its own session."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(descriptor, number)
        work()
        code = 0
    except BaseException:  # noqa: BLE001
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve(listener: socket.socket) -> None:
    """The target: answers every connection at once."""
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"well")


def answers_quickly(port: int, hello: bytes = b"") -> bool:
    start = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), QUICK_S) as connection:
            connection.settimeout(QUICK_S)
            connection.sendall(hello)
            return connection.recv(4) in {b"well", b"HTTP"} and time.monotonic() - start < QUICK_S
    except OSError:
        return False


def guard_it(place: Path, kill: Kill, pids: dict[str, int]) -> None:
    post = Post(place / "guardian")
    lock = post.take()
    assert lock is not None

    def journal(runner: ProcessIdentity) -> Journal:
        made = Killing(place / "journal", runner=runner)
        made.kill, made.pids = kill, {} if runner.pid == os.getpid() else {**pids, "guardian": os.getpid()}
        return made

    Guardian(post, injectors(), journal, idle_s=1.0).serve()


def ttl_s(fault: str, patience: int = 1) -> float:
    """How long a lease is: what stands before a port takes a moment to start, and a busy machine takes longer for everything."""
    return (2.0 if fault == "tls.expired" else TTL_S) * patience


async def run(place: Path, handle: Handle, lease_s: float) -> None:
    """What a run does with its guardian."""
    journal = Journal(place / "journal")
    async with Guard(journal, Post(place / "guardian")) as guard:
        try:
            await guard.arm([handle], "trial", lease_s)
            until = time.monotonic() + HOLD_S
            while time.monotonic() < until:
                await asyncio.sleep(TTL_S / 6)
                await guard.renew(lease_s)
        except RefuteError as error:
            print(f"run: {error}", file=sys.stderr)
        finally:
            if not await guard.disarm([handle]):
                print("unproven", file=sys.stderr)


@dataclass(frozen=True)
class Target:
    """What is broken: how it is aimed at, and whether it is felt to be well."""

    pid: int
    arming: Arming
    well: Callable[[], bool]
    restart: Callable[[], None]


@contextlib.contextmanager
def simple(place: Path, fault: str) -> Iterator[Target]:
    """A child of this process that answers connections, and a file system of its own where that is to be filled."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    pid = forked(lambda: serve(listener), place / "log")
    listener.close()
    (place / "pid").write_text(str(pid))
    disk = _disk(place) if fault == "disk.full" else None
    where = Place(pidfile=str(place / "pid"), directory=str(disk or ""))
    component = Component("target", "service", endpoint=f"http://127.0.0.1:{port}", place=where)
    well = (lambda: has_room(disk)) if disk else (lambda: _dead(pid) or answers_quickly(port))
    yield Target(pid, Arming(component, fault), well, lambda: None)


@contextlib.contextmanager
def serviced(place: Path, fault: str) -> Iterator[Target]:
    """A service; it is started again where nothing else can prove that the fault is gone."""
    magnitude, felt = FELT[fault]
    with resolver() if fault.startswith("dns.") else contextlib.nullcontext(), serving(place, fault) as service:
        restart = service.start if fault == "process.oom" else lambda: None

        def well() -> bool:
            return service.process.poll() is not None or felt(service)

        yield Target(service.process.pid, service.aimed(fault, magnitude), well, restart)


def trial(fault: str, kill: Kill) -> Trial:
    """Do one; where the machine was so busy that the lease ended before the step, again with a longer one."""
    for patience in (1, 4, 16):
        outcome = _tried(fault, kill, patience)
        if UNREACHED not in outcome.wrong:
            break
    return outcome


def _tried(fault: str, kill: Kill, patience: int) -> Trial:
    """Do one, in a directory of its own."""
    place = Path(tempfile.mkdtemp(prefix="crash-"))
    pids: dict[str, int] = {}
    outcome = Trial(kill, fault, lease_s=ttl_s(fault, patience))
    with (serviced if fault in FELT else simple)(place, fault) as target:
        pids["target"] = target.pid
        try:
            _lived(place, target, pids, outcome)
        except Exception as error:  # noqa: BLE001
            outcome.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            if outcome.wrong:
                outcome.wrong.append((place / "log").read_text()[-1500:])
            _end(place, pids)
            _left(place, outcome)
    shutil.rmtree(place, ignore_errors=True)
    return outcome


def _lived(place: Path, target: Target, pids: dict[str, int], outcome: Trial) -> None:
    kill = outcome.kill
    pids["guardian"] = forked(lambda: guard_it(place, kill, pids), place / "log")
    _until((place / "guardian" / "socket").exists, 5.0)
    arming = target.arming
    injector: Injector = choose(arming)
    handle = injector.prepare(arming)
    pids["runner"] = forked(lambda: asyncio.run(run(place, handle, outcome.lease_s)), place / "log")
    began = time.monotonic()
    if kill.step:
        struck = _until(lambda: (place / "struck").exists() or _dead(pids["runner"]), 5.0 + outcome.lease_s)
        if not struck or not (place / "struck").exists():
            outcome.wrong.append(UNREACHED)
    else:
        time.sleep(max(0.0, began + kill.at_s - time.monotonic()))
        _strike(place, pids, kill)
    outcome.kills = len(kill.who)
    if "target" in kill.who:
        target.restart()
    _judge(place, pids, outcome, lambda: injector.verify(handle) and target.well())


def _disk(place: Path) -> Path:
    """A file system of its own, in memory."""
    disk = place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    return disk


def has_room(disk: Path) -> bool:
    try:
        (disk / "probe").write_bytes(b"x" * 1_000_000)
    except OSError:
        return False
    (disk / "probe").unlink()
    return True


def _strike(place: Path, pids: dict[str, int], kill: Kill) -> None:
    for who in kill.who:
        pid = _understudy(place) if who == "understudy" else pids[who]
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _judge(place: Path, pids: dict[str, int], outcome: Trial, well: Callable[[], bool]) -> None:
    struck = time.monotonic()
    journal = Journal(place / "journal")
    alone = {"guardian", "runner"} <= set(outcome.kill.who)  # then only an understudy is left, or nobody
    limit = outcome.lease_s + ALLOWED_S
    nobody_left = {"guardian", "runner", "understudy"} <= set(outcome.kill.who) or (alone and not _understudy(place))
    if not nobody_left:
        if not _until(lambda: _settled(pids, journal), limit):
            outcome.wrong.append(f"still live in the journal: {[(entry.handle.id, entry.state) for entry in journal.live()]}")
        if not _until(well, limit):
            outcome.wrong.append("the fault is still seen")
        outcome.seconds = time.monotonic() - struck
    if journal.live():
        outcome.by_recover = True
        recovery = mend(journal, injectors())
        if recovery.exit_code:
            outcome.wrong.append(f"recover: {recovery.to_json()}")
    if journal.damaged():
        outcome.wrong.append("the journal is damaged")
    if mend(journal, injectors()).handles:
        outcome.wrong.append("recover was not done after the first time")
    time.sleep(0.1)
    if not _until(lambda: well() and not journal.live(), limit):  # a guardian may still have been at it as its run died: it has until then
        outcome.wrong.append("the fault has come back")


def _settled(pids: dict[str, int], journal: Journal) -> bool:
    """The run is over, and nothing is live."""
    return _dead(pids["runner"]) and not journal.live()


def _end(place: Path, pids: dict[str, int]) -> None:
    for who in ("runner", "target"):
        if who in pids and not _dead(pids[who]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[who], signal.SIGCONT)
                os.kill(pids[who], signal.SIGKILL)
            _until(lambda who=who: _dead(pids[who]), 5.0)
    post = Post(place / "guardian")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if (lock := post.take()) is not None:
            os.close(lock)
            if not _understudy(place):
                break
        if (holder := post.holder()) is not None and holder.pid != os.getpid():
            os.kill(holder.pid, signal.SIGTERM)
        time.sleep(0.05)
    if "guardian" in pids:
        _until(lambda: _dead(pids["guardian"]), 5.0)
    if (place / "disk").is_mount():
        subprocess.run(["umount", place / "disk"], check=True)


def _left(place: Path, outcome: Trial) -> None:
    """Nothing is forgotten with the journal."""
    if (recovery := mend(Journal(place / "journal"), injectors())).exit_code:
        outcome.wrong.append(f"left at the end: {recovery.to_json()}")


def _understudy(place: Path) -> int:
    """The process that waits for the lock."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if str(place / "guardian") in arguments and "--understudy" in arguments:
                    return int(entry.name)
    return 0


def _dead(pid: int) -> bool:
    """A child that has ended, waited for; anybody else's that does not run."""
    with contextlib.suppress(ChildProcessError):
        done, _ = os.waitpid(pid, os.WNOHANG)
        return done == pid
    return identity_of(pid) is None


def _until(wanted: Callable[[], bool], limit_s: float) -> bool:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if wanted():
            return True
        time.sleep(0.01)
    return wanted()
