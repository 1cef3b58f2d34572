"""`refute try`: breaks one thing under somebody's own program or test suite, and says what the code did."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from refute.cli._signals import until_signal
from refute.core.arming import Arming
from refute.core.errors import EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_UNPROVEN_ROLLBACK, refuse
from refute.core.system import COMPONENT_KINDS, Component
from refute.core.units import UnitError, share
from refute.experiment.program import Program, Trial
from refute.faults.catalogue import find
from refute.faults.spec import Fault
from refute.intent.magnitudes import UnreadableError, magnitude_of, shown_magnitude
from refute.safety.abort import abort_marker, abort_requested
from refute.safety.journal import Journal
from refute.safety.runs import accompanied

_SHOWN = 80


@click.command(name="try", context_settings={"ignore_unknown_options": True})
@click.option("--fault", "name", required=True, metavar="NAME", help="A fault of the catalogue; see `refute faults`.")
@click.option("--share", "share_text", default="100%", show_default=True, help="Share of calls that are hit.")
@click.option("--magnitude", default="", help="How hard, with its unit (2 s); the fault's typical one if left out.")
@click.option("--endpoint", default="", metavar="URL", help="Only calls to this base URL; otherwise every call to an LLM API.")
@click.option("--via", type=click.Choice(["proxy"]), help="Break the calls in a `refute proxy` that runs: for any language.")
@click.option(
    "--python", "function", default="", metavar="MODULE:FUNCTION", help="The function to strike, for faults of tools and retrievers."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same faults.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; the program's own output goes to stderr.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def try_(
    name: str,
    share_text: str,
    magnitude: str,
    endpoint: str,
    via: str | None,
    function: str,
    seed: int,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND with a fault armed in it: `refute try --fault llm.rate_limit -- pytest tests/test_x.py`.

    Exits 0 when the fault landed and was removed, whatever the program did; 3 when nothing landed.
    """
    fault = find(name)
    component = _component(fault, endpoint, via or "", function)
    arming = Arming(component, fault.name, _magnitude(fault, magnitude), _share(share_text), "call", 1.0, seed)
    marker = abort_marker()
    program = Program(command, arming, Journal(), lambda: abort_requested(marker), own_stdout=not as_json)

    async def work() -> int:
        trial = await program.run()
        _tell(fault, trial, as_json=as_json)
        return _exit_code(trial)

    with accompanied(" ".join(command)[:_SHOWN]):
        code = until_signal(work)
    sys.exit(code)


def _tell(fault: Fault, trial: Trial, *, as_json: bool) -> None:
    for problem in trial.rollback.unnoted if trial.rollback else ():
        if as_json:
            click.echo(json.dumps({"event": "problem", **problem.to_json()}))
        else:
            click.echo("\n".join(problem.lines()), err=True)
    if as_json:
        click.echo(json.dumps({"event": "summary", "exit_code": _exit_code(trial), "fault": fault.name, **_told(trial)}))
    else:
        _show(fault, trial)


def _component(fault: Fault, endpoint: str, via: str, function: str) -> Component:
    if via and not endpoint:
        raise refuse("TRY-TARGET", "say which proxy", seen="--via proxy without --endpoint", next="refute try --via proxy --endpoint URL …")
    kind = "llm" if "llm" in fault.kinds else next(kind for kind in COMPONENT_KINDS if kind in fault.kinds)
    if fault.whole:
        raise refuse(
            "TRY-WHOLE", f"{fault.name} strikes a component as a whole, and a tried command is not one", seen=fault.name,
            allowed="faults that strike single calls", next="state a belief about it, then: refute run",
        )  # fmt: skip
    if kind != "llm" and not (endpoint or function):
        raise refuse(
            "TRY-TARGET", f"{fault.name} strikes a {kind}: say which", seen="neither --endpoint nor --python",
            next=f"refute try --fault {fault.name} --python module:function -- …",
        )  # fmt: skip
    return Component("target", kind, (), endpoint, function, via=via)


def _share(text: str) -> float:
    try:
        return share(text)
    except UnitError as error:
        raise refuse("TRY-SHARE", "the share cannot be read", where="--share", seen=text, allowed=str(error)) from None


def _magnitude(fault: Fault, text: str) -> float | None:
    if fault.magnitude is None:
        if text:
            raise refuse("TRY-MAGNITUDE", f"{fault.name} has no magnitude", where="--magnitude", seen=text, next="leave --magnitude out")
        return None
    if not text:
        return fault.magnitude.typical
    spec = fault.magnitude
    allowed = f"{shown_magnitude(spec.low, spec.unit)} to {shown_magnitude(spec.high, spec.unit)}: {spec.meaning}"
    try:
        value = magnitude_of(text, spec.unit)
    except UnreadableError:
        value = None
    if value is None or not spec.low <= value <= spec.high:
        raise refuse("TRY-MAGNITUDE", f"{fault.name} cannot be that hard", where="--magnitude", seen=text, allowed=allowed)
    return value


def _exit_code(trial: Trial) -> int:
    if not trial.rolled_back:
        return EXIT_UNPROVEN_ROLLBACK
    if trial.interrupted:
        return EXIT_INTERRUPTED
    unnoted = trial.rollback.unnoted if trial.rollback else ()
    return EXIT_HELD if trial.landing.injected and not unnoted else EXIT_INCONCLUSIVE


def _told(trial: Trial) -> dict[str, Any]:
    return {
        "landed": bool(trial.landing.injected), "rolled_back": trial.rolled_back,
        "proof": trial.rollback.proof.how if trial.rollback else "nothing was armed", "injected": trial.landing.injected,
        "eligible": trial.landing.eligible, "effect": trial.landing.effect, "reason": trial.landing.reason, "retries": _retries(trial),
        "exceptions": trial.exceptions, "program_exit_code": trial.exit_code, "processes": trial.processes, "seconds": trial.seconds,
    }  # fmt: skip


def _retries(trial: Trial) -> int:
    """Return how many further attempts were made of calls that were hit."""
    return max(0, round(sum(trial.landing.effect.values())) - trial.landing.injected)


def _show(fault: Fault, trial: Trial) -> None:
    landing = trial.landing
    if not landing.injected:
        click.echo(f"nothing landed: {_why(trial)}", err=True)
        click.echo(f"your program ended with exit code {trial.exit_code}; that says nothing about {fault.name}", err=True)
        _show_removed(trial)
        return
    effects = ", ".join(f"{name} x{count:g}" for name, count in sorted(landing.effect.items()))
    click.echo(f"{landing.injected} injected of {landing.eligible} calls ({effects}); this is what your code did:", err=True)
    click.echo(f"  retries     {_retries(trial)} further attempts of calls that were hit", err=True)
    seen = ", ".join(f"{name} x{count}" for name, count in _of_the_sdk(trial.exceptions).items()) or "none of the client library's"
    click.echo(f"  exceptions  {seen}", err=True)
    where = f" in {trial.processes} Python process(es)" if trial.processes else ""
    click.echo(f"  exit code   {trial.exit_code}, after {trial.seconds:.1f} s{where}", err=True)
    _show_removed(trial)


def _show_removed(trial: Trial) -> None:
    if trial.rollback is not None:
        proof = trial.rollback.proof
        by_hand = f"; next: {trial.rollback.to_json()['remove_by_hand']}" if not proof else ""
        click.echo(f"  removed     {'proven' if proof else 'NOT PROVEN'}: {proof.how}{by_hand}", err=True)


def _of_the_sdk(exceptions: dict[str, int]) -> dict[str, int]:
    """Return an SDK's own exceptions where it raised any; those of its transport mean nothing to its user then."""
    own = {name: count for name, count in exceptions.items() if not name.startswith("httpx")}
    return dict(sorted((own or exceptions).items()))


def _why(trial: Trial) -> str:
    if not trial.processes and not trial.landing.reason:
        return "no Python process joined; is the command a Python program, not started with -I, -S or -E?"
    return trial.landing.reason or f"{trial.landing.eligible} calls could have been hit, none was"
