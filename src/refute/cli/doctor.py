"""`refute doctor`: what is live on this machine, and is everything here that is needed?"""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from refute.core.errors import EXIT_HELD, EXIT_UNPROVEN_ROLLBACK, EXIT_USAGE, Problem, RefuteError
from refute.injectors.door import clear, signs
from refute.injectors.host.abilities import Ability, abilities
from refute.injectors.registry import injectors
from refute.ledger import DEFAULT_PATH, Ledger
from refute.safety import doctor as safety
from refute.safety.far import ask_there
from refute.safety.journal import Journal
from refute.safety.state import doors_directory, probe
from refute.safety.summon import obstacle

_NEEDED = ("click", "pydantic", "pyyaml", "rich", "urllib3")
_TRANSPORTS = ("httpx", "httpx2")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is as it must be; None where it is only good to know.
        seen: what was found.
        next: what to do where it is not.
    """

    name: str
    ok: bool | None
    seen: str
    next: str = ""


@click.command()
@click.option("--ledger", "path", type=click.Path(path_type=Path), default=DEFAULT_PATH, show_default=True, help="The ledger's file.")
@click.option("--guardian", "address", metavar="URL", help="Ask the guardian of another host, tls://HOST:PORT, instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(path: Path, address: str | None, as_json: bool) -> None:
    """Say what is live, what the host permits, and what is missing.

    Exits 5 where a fault has nobody who looks after it, 2 where something is missing that Refute itself needs.
    """
    if address is not None:
        seen = ask_there(address, "look")
        checks = [*_abilities(map(Ability.from_json, ask_there(address, "abilities")["abilities"]))]
        live, damaged, guardian = seen["live"], seen["damaged"], seen["guardian"]
    else:
        journal = Journal()
        written = _guarded("journal", lambda: f"{probe(journal.directory)} can be written")
        checks = [*_packages(), _ledger(path), written, *_abilities(abilities()), *_services()]
        (live, damaged), guardian = _live(journal), safety.guardian(journal)
    checks.append(_guardian(guardian))
    if as_json:
        click.echo(json.dumps({"checks": [asdict(check) for check in checks], "damaged": damaged, "live": live, "guardian": guardian}))
    else:
        _show(checks, live, damaged)
    orphaned = damaged or any(not fault["running"] for fault in live)
    sys.exit(EXIT_UNPROVEN_ROLLBACK if orphaned else EXIT_USAGE if any(check.ok is False for check in checks) else EXIT_HELD)


def _packages() -> Iterator[Check]:
    yield Check(
        "python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.system()} {platform.machine()}", "Python 3.11"
    )
    for name in _NEEDED:
        found = _version(name)
        yield Check(name, bool(found), found or "not installed", "" if found else f"pip install {name}")
    for name in _TRANSPORTS:
        yield Check(f"transport {name}", None, _version(name) or "not installed here; nothing to break")
    yield _guarded("injectors", lambda: ", ".join(injectors()))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _ledger(path: Path) -> Check:
    if not path.exists():
        return Check("ledger", None, f"{path}: none yet; the first run makes it")

    def look() -> str:
        with Ledger.open(path, create=False) as ledger:
            return f"{path}: can be opened, head {ledger.head()[:12]}"

    if path.stat().st_mode & 0o077:
        return Check("ledger", False, f"{path}: others may read it", f"chmod 600 {path}")
    return _guarded("ledger", look)


def _guarded(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except RefuteError as error:
        problem = error.problems[0]
        return Check(name, False, f"{problem.what} [{problem.code}]", problem.next)
    except Exception as error:  # noqa: BLE001  # another package's injector may fail in any way; that is what is reported
        return Check(name, False, f"{type(error).__name__}: {error}", "update or remove the package that provides it")


def _guardian(found: dict[str, Any] | None) -> Check:
    if found is None:
        return Check("guardian", None, obstacle() or "none is live; the first fault that outlives its process starts one")
    name = f"process {found['pid']}"
    if "runs" not in found:
        return Check("guardian", False, f"{name} does not answer", f"kill -9 {found['pid']}, then: refute recover")
    second = f", and process {found['understudy']} to take over" if found["understudy"] else ""
    guarded = ", ".join(map(_guarded_run, found["runs"])) or "nothing"
    resisting = "; ".join(f"handle {one['handle']} resists after {one['attempts']} attempts: {one['reason']}" for one in found["mending"])
    seen = f"{name}{second}; guards {guarded}{'; ' if resisting else ''}{resisting}"
    return Check("guardian", not resisting, seen, "mend the cause; it tries again by itself" if resisting else "")


def _abilities(abilities: Iterable[Ability]) -> Iterator[Check]:
    """What a host permits of faults of processes, ports and disks."""
    found = list(abilities)
    able = {fault: one.mechanism for one in found if not one.lack.what for fault in one.faults}
    for one in found:
        problem = Problem("HOST-LACKS", one.lack.what, next=one.lack.next)
        instead = sorted({able[fault] for fault in one.faults if fault in able})
        missing = f"missing [{problem.code}]: {problem.what}" + (f"; {', '.join(instead)} does it instead" if instead else "")
        yield Check(f"{', '.join(one.faults)} by {one.mechanism}", None, missing if problem.what else one.means, problem.next)


def _guarded_run(run: dict[str, Any]) -> str:
    caller = f" of {run['by']}, on another host" if run.get("by") else ""
    return f"experiment {run['experiment']}{caller}, lease {run['lease_s']:.1f} s"


def _services() -> Iterator[Check]:
    """Yield the services of live traffic that a run could ask to join."""
    doors = doors_directory()
    clear(doors)
    found = Counter(name for sign in signs(doors) if sign.role == "service" for name in sign.serves)
    for name, processes in sorted(found.items()):
        yield Check(f"service {name}", None, f"{processes} process{'es' if processes != 1 else ''} can be asked to join")


def _live(journal: Journal) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        said = safety.elsewhere(journal)
        live = [fault | ({"said": said[fault["handle"]]} if fault["handle"] in said else {}) for fault in safety.live(journal)]
        return live, [str(path) for path in journal.damaged()]
    except RefuteError:
        return [], []


def _show(checks: list[Check], live: list[dict[str, Any]], damaged: list[str]) -> None:
    for check in checks:
        mark = {True: "ok", False: "NOT OK", None: "-"}[check.ok]
        click.echo(f"{mark:7}{check.name}: {check.seen}")
        if check.ok is not True and check.next:
            click.echo(f"       next: {check.next}")
    for path in damaged:
        click.echo(f"damaged: {path}; next: refute recover")
    for fault in live:
        runner = f"its runner, process {fault['pid']}, lives" if fault["running"] else f"its runner, process {fault['pid']}, is gone"
        then = "refute abort" if fault["running"] else "refute recover"
        said = f"; {fault['said']}" if "said" in fault else ""
        click.echo(
            f"live: {fault['fault'] or fault['injector']} on {fault['target'] or '?'}, {fault['state']}; {runner}{said}; next: {then}"
        )
    if not live:
        click.echo("nothing is live")
