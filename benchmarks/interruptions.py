"""What is left behind when an experiment is disturbed: Refute beside Chaos Toolkit, the same disturbances at the same moments.

    python benchmarks/interruptions.py [--only WORD ...] [--without-peer] [--cache FOLDER] [--json]

A shop asks a service for its stock and falls back where that does not answer; the fault is that the service's process is paused
(SIGSTOP). Both tools ask the same function of the shop, and the same function whether it was answered. Most disturbances come half a
second after the process is seen paused. Then the tool has 20 seconds to end, is ended by force where it has not, and five seconds
later the process is looked at: still paused means left behind. `gone after` is counted from the disturbance, or from the injection where
that is all there is, until the process runs again.

Chaos Toolkit is tried as it comes and with `--rollback-strategy always`, its most thorough. It is installed from the package index into
an environment of its own under `--cache` (a temporary folder unless given). What the record says is read from its journal file, and from
Refute's ledger. The disk that runs full needs the right to mount. Exits 1 where Refute has left a fault behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

SHOP = Path(__file__).parents[1] / "tests" / "support" / "shop"
PEER = "chaostoolkit==1.19.*"
INTO_FAULT_S = 0.5
START_S = 40.0
LIMIT_S = 20.0
LATER_S = 5.0
DISK_BYTES = 6_000_000

Strike = Callable[["Running"], None]


@dataclass
class Running:
    """A tool at work.

    Attributes:
        process: of the tool.
        folder: in which it works.
        terminal: our end of its terminal, -1 where it has none.
        output: our end of the pipe that it prints to, -1 where it prints to a file.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    terminal: int = -1
    output: int = -1


@dataclass(frozen=True)
class Disturbance:
    """One way to disturb an experiment.

    Attributes:
        name: in words.
        strike: what is done once the fault is there; None where the experiment itself is what disturbs.
        client: the shop's function.
        says: what the service answers.
        stale: whether the pidfile names a process that is gone.
        terminal: whether the tool is started in a terminal of its own.
        piped: whether it prints into a pipe.
        mounted: whether it works on a small disk of its own.
        frozen: whether the tool is woken up after all.
    """

    name: str
    strike: Strike | None = None
    client: str = "careful"
    says: str = "in stock"
    stale: bool = False
    terminal: bool = False
    piped: bool = False
    mounted: bool = False
    frozen: bool = False


@dataclass(frozen=True)
class Row:
    """What came of it; `seconds` until the process ran again, None where it was never paused or still is."""

    disturbance: str
    tool: str
    exit_code: int | None
    record: str
    injected: bool
    left: bool
    seconds: float | None


def signals(*numbers: signal.Signals) -> Strike:
    """Return a strike that sends signals, a moment apart."""

    def strike(running: Running) -> None:
        for number in numbers:
            running.process.send_signal(number)
            time.sleep(0.05)

    return strike


def close(running: Running) -> None:
    """Close the terminal, or the pipe that it prints to."""
    os.close(running.terminal if running.terminal >= 0 else running.output)


def fill(running: Running) -> None:
    """Leave no room on the disk."""
    with contextlib.suppress(OSError), (running.folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def spoil(running: Running) -> None:
    """Have the function that says whether an answer is good raise from now on."""
    (running.folder / "spoilt").touch()


DISTURBANCES = (
    Disturbance("steady state fails before", says="sold out"),
    Disturbance("injection fails: the process is gone", stale=True),
    Disturbance("steady state fails under the fault", client="hasty"),
    Disturbance("the check raises under the fault", spoil),
    Disturbance("the client hangs with the service", client="endless"),
    Disturbance("Ctrl-C (SIGINT)", signals(signal.SIGINT)),
    Disturbance("Ctrl-C three times", signals(signal.SIGINT, signal.SIGINT, signal.SIGINT)),
    Disturbance("SIGTERM", signals(signal.SIGTERM)),
    Disturbance("the terminal is closed (SIGHUP)", close, terminal=True),
    Disturbance("kill -9", signals(signal.SIGKILL)),
    Disturbance("the tool freezes (SIGSTOP)", signals(signal.SIGSTOP), frozen=True),
    Disturbance("nobody reads its output any more", close, piped=True),
    Disturbance("the disk runs full", fill, mounted=True),
)

CHECKS = '''"""Whether the shop has answered; raises once a file is there."""
from pathlib import Path
import app
def answered(case, text):
    if Path("spoilt").exists():
        raise RuntimeError("the check is broken")
    return app.answered(case, text)
'''

HANDS = '''"""The same fault, and the same questions, for Chaos Toolkit."""
import os, signal, time
from pathlib import Path
import app, checks
def pause():
    os.kill(int(Path("stock.pid").read_text()), signal.SIGSTOP)
def resume():
    os.kill(int(Path("stock.pid").read_text()), signal.SIGCONT)
def answered(client):
    return bool(checks.answered({}, getattr(app, client)({})))
def users(client, seconds):
    until = time.monotonic() + seconds
    good = []
    while time.monotonic() < until:
        good.append(answered(client))
        time.sleep(0.05)
    return sum(good) / len(good)
'''


@dataclass(frozen=True)
class Tool:
    """A tool: how it is started in a folder, and what its record says afterwards."""

    name: str
    prepare: Callable[[Path, Disturbance], None]
    command: tuple[str, ...]
    record: Callable[[Path, dict[str, str]], str]


def refute() -> Tool:
    """Return Refute, as it comes."""

    def prepare(folder: Path, disturbance: Disturbance) -> None:
        file = folder / "refute.yaml"
        text = file.read_text().replace("app:careful", f"app:{disturbance.client}").replace("app:answered", "checks:answered")
        file.write_text(text.replace("units: 120", "units: 400").replace("answered >= 90%", "answered >= 95%").replace("30/s", "20/s"))

    return Tool("refute", prepare, (sys.executable, "-m", "refute", "run", "--json"), _of_ledger)


def _of_ledger(folder: Path, environ: dict[str, str]) -> str:
    command = [sys.executable, "-m", "refute", "ledger", "export", "--kind", "verdict", "--kind", "problem"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = [event["verdict"] for event in events if event["event"] == "verdict"]
    return " ".join([*verdicts, *dict.fromkeys(event["code"] for event in events if event["event"] == "problem")]) or "no verdict"


def chaos(name: str, program: Path, *options: str) -> Tool:
    """Return Chaos Toolkit with options."""

    def prepare(folder: Path, disturbance: Disturbance) -> None:
        def activity(kind: str, function: str, **arguments: object) -> dict[str, object]:
            provider = {"type": "python", "module": "hands", "func": function, "arguments": arguments}
            return {"type": kind, "name": function, "provider": provider}

        asked = activity("probe", "answered", client=disturbance.client) | {"tolerance": True}
        experiment = {
            "title": "The shop answers while the stock service hangs", "description": "-",
            "steady-state-hypothesis": {"title": "answered", "probes": [asked]},
            "method": [activity("action", "pause"), activity("probe", "users", client=disturbance.client, seconds=4)],
            "rollbacks": [activity("action", "resume")],
        }  # fmt: skip
        (folder / "hands.py").write_text(HANDS)
        (folder / "experiment.json").write_text(json.dumps(experiment))

    return Tool(name, prepare, (str(program), "run", *options, "experiment.json"), _of_journal)


def _of_journal(folder: Path, _environ: dict[str, str]) -> str:
    try:
        journal = json.loads((folder / "journal.json").read_text())
    except (OSError, ValueError):
        return "no journal"
    said = [journal["status"], "deviated" if journal["deviated"] else "not deviated"]
    before = (journal.get("steady_states") or {}).get("before")
    said += ["no steady state before"] if before and not before["steady_state_met"] else []
    return ", ".join([*said, *(f"{one['activity']['name']} failed" for one in journal["run"] if one.get("status") == "failed")])


def installed(cache: Path) -> Path | None:
    """Return Chaos Toolkit's command in an environment of its own; None where it cannot be installed."""
    folder = cache / "chaostoolkit"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        command = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", PEER]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        (folder / "ready").touch()
    return folder / "bin/chaos"


@contextlib.contextmanager
def place(*, mounted: bool) -> Iterator[Path]:
    """Yield a folder with the shop in it, on a small disk of its own where that is asked for; what is left over is ended."""
    with tempfile.TemporaryDirectory(prefix="interruptions-") as made:
        disk = Path(made)
        if mounted:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk], check=True, capture_output=True)
        try:
            shutil.copytree(SHOP, disk / "shop")
            yield disk / "shop"
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", disk], check=True)


def trial(tool: Tool, disturbance: Disturbance) -> Row:
    """Disturb a tool once, and look what is left behind."""
    with place(mounted=disturbance.mounted) as folder:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        (folder / "refute.yaml").write_text((folder / "refute.yaml").read_text().replace("PORT", str(port)))
        (folder / "checks.py").write_text(CHECKS)
        tool.prepare(folder, disturbance)
        environ = os.environ | {
            "XDG_STATE_HOME": str(folder / "state"), "SHOP_PORT": str(port), "SHOP_SERVED": "1", "PYTHONPATH": str(folder),
            "STOCK_SAYS": disturbance.says, "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        stock = subprocess.Popen(
            [sys.executable, folder / "stock.py", str(port), folder / "stock.pid"], env=environ, stderr=subprocess.DEVNULL
        )
        try:
            answers(port)
            until(lambda: (folder / "stock.pid").exists() and bool((folder / "stock.pid").read_text()), 5)
            if disturbance.stale:
                (folder / "stock.pid").write_text(str(gone()))
            return watched(tool, disturbance, folder, environ, stock)
        finally:
            stock.kill()
            stock.wait()
            end_guardian(folder, environ)


def watched(tool: Tool, disturbance: Disturbance, folder: Path, environ: dict[str, str], stock: subprocess.Popen[bytes]) -> Row:
    """Start the tool, strike once the service is paused, and look until all is over."""
    running = started(tool, disturbance, folder, environ)
    injected = until(lambda: paused(stock) or running.process.poll() is not None, START_S) and paused(stock)
    if injected and disturbance.strike is not None:
        time.sleep(INTO_FAULT_S)
        disturbance.strike(running)
    struck, seconds, later = time.monotonic(), None, 0.0
    while later < LATER_S:
        now = time.monotonic() - struck
        if injected and seconds is None and not paused(stock):
            seconds = now
        if running.process.poll() is not None or now > LIMIT_S:
            later += 0.01
        time.sleep(0.01)
    left = paused(stock)
    code = end(running, frozen=disturbance.frozen)
    (folder / "filler").unlink(missing_ok=True)
    return Row(disturbance.name, tool.name, code, tool.record(folder, environ), injected, left, None if left else seconds)


def started(tool: Tool, disturbance: Disturbance, folder: Path, environ: dict[str, str]) -> Running:
    """Start the tool as the disturbance wants it."""
    with (folder / "printed").open("wb") as printed:
        ours, theirs = pty.openpty() if disturbance.terminal else os.pipe() if disturbance.piped else (-1, printed.fileno())
        command = ("env", "--default-signal=HUP,INT", *tool.command)  # whatever the caller of this script ignores
        command = ("setsid", "--ctty", *command) if disturbance.terminal else command
        heard = theirs if disturbance.terminal else subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=heard, stdout=theirs, stderr=theirs, start_new_session=not disturbance.terminal
        )
    if ours >= 0:
        os.close(theirs)
    return Running(process, folder, ours if disturbance.terminal else -1, ours if disturbance.piped else -1)


def end(running: Running, *, frozen: bool) -> int | None:
    """Return the exit code; None where the tool has to be ended by force."""
    if frozen and running.process.poll() is None:
        running.process.send_signal(signal.SIGCONT)
        until(lambda: running.process.poll() is not None, LIMIT_S)
    if running.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
        return None
    code = running.process.returncode
    return code if code >= 0 else 128 - code


def end_guardian(folder: Path, environ: dict[str, str]) -> None:
    """Wait until Refute's guardian, which outlives the run by some seconds, has ended, too."""
    command = [sys.executable, "-m", "refute", "doctor", "--json"]

    def none() -> bool:
        said = subprocess.run(command, env=environ, cwd=folder, capture_output=True, check=False)
        return not json.loads(said.stdout)["guardian"]

    if (folder / "state").exists():
        until(none, 10)


def paused(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process is stopped, seen by the kernel."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def gone() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def answers(port: int) -> None:
    """Wait for the service."""

    def heard() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        return False

    if not until(heard, 10):
        raise TimeoutError("the service did not start")


def until(wanted: Callable[[], bool], limit_s: float) -> bool:
    """Wait for something; say whether it came in time."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if wanted():
            return True
        time.sleep(0.01)
    return wanted()


def may_mount() -> bool:
    """Whether a disk of our own can be had."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError), place(mounted=True):
        return True
    return False


def report(rows: list[Row]) -> None:
    """Print the table, as Markdown: a row a disturbance, a column a tool, and below it what each has left behind."""
    tools = list(dict.fromkeys(row.tool for row in rows))
    print(f"| disturbance | {' | '.join(tools)} |\n|{' --- |' * (len(tools) + 1)}")
    for name in dict.fromkeys(row.disturbance for row in rows):
        print(f"| {name} | {' | '.join(said(row) for row in rows if row.disturbance == name)} |")
    left = {tool: sum(row.left for row in rows if row.tool == tool) for tool in tools}
    print(f"| faults left behind | {' | '.join(str(left[tool]) for tool in tools)} |")


def said(row: Row) -> str:
    """Return what came of one, in words: exit code, record, and the fault."""
    code = "never ended" if row.exit_code is None else f"exit {row.exit_code}"
    fault = "**left behind**" if row.left else "not injected" if not row.injected else f"gone after {row.seconds or 0.0:.1f} s"
    return f"{code}; {row.record}; {fault}"


def main() -> int:
    """Disturb them all, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="disturbances with one of these words in their names")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        tools = [refute()]
        program = None if options.without_peer else installed(options.cache or Path(temporary))
        if program is not None:
            tools += [chaos("chaostoolkit", program), chaos("chaostoolkit, always", program, "--rollback-strategy", "always")]
        elif not options.without_peer:
            print("chaostoolkit cannot be installed here: Refute alone", file=sys.stderr)
        wanted = [one for one in DISTURBANCES if not options.only or any(word in one.name for word in options.only)]
        if not may_mount():
            print("no right to mount: without the disk that runs full", file=sys.stderr)
            wanted = [one for one in wanted if not one.mounted]
        rows = [trial(tool, one) for one in wanted for tool in tools]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        report(rows)
    return int(any(row.left for row in rows if row.tool == "refute"))


if __name__ == "__main__":
    sys.exit(main())
