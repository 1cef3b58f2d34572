"""One file a verb; a verb's module is imported only when it is called, so that `refute --help` answers at once."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile

import click

from refute import __version__
from refute.cli._signals import heeded
from refute.cli._streams import steady
from refute.core.errors import EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_USAGE, RefuteError, refuse

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("refute.cli.demo:demo", "Examine a real agent, offline and without keys."),
    "try": ("refute.cli.try_:try_", "Break one thing under your own program or tests."),
    "init": ("refute.cli.init:init", "Draft an intent file from what your code shows."),
    "import": ("refute.cli.import_:import_", "Learn the system from OTLP traces."),
    "check": ("refute.cli.check:check", "Check an intent file and its design."),
    "plan": ("refute.cli.plan:plan", "Rank the experiments: what would each teach, at what risk?"),
    "suggest": ("refute.cli.suggest:suggest", "Suggest beliefs that nobody has stated yet."),
    "run": ("refute.cli.run:run", "Test beliefs: forecast, baseline, inject, recover, verdict."),
    "watch": ("refute.cli.watch:watch", "Keep testing what is worth it, within working hours, until it is ended."),
    "rerun": ("refute.cli.rerun:rerun", "Repeat a run: same seed, same faults."),
    "forecast": ("refute.cli.forecast:forecast", "Say what you expect of a belief's next run; it is scored."),
    "account": ("refute.cli.account:account", "What was learned so far: bits, findings, calibration."),
    "accept": ("refute.cli.accept:accept", "Live with a refuted belief for now: who, why, until when."),
    "proxy": ("refute.cli.proxy:proxy", "Stand in front of an upstream, for any language; untouched until a run arms it."),
    "guardian": ("refute.cli.guardian:guardian", "Let runs on other hosts break what runs on this one, under leases."),
    "exec": ("refute.cli.exec_:exec_", "Start a Python program that runs may arm; untouched until then."),
    "report": ("refute.cli.report:report", "Write what was learned as one HTML file."),
    "approve": ("refute.cli.approve:approve", "Say yes, signed, to a run that somebody else starts."),
    "abort": ("refute.cli.abort:abort", "Stop every live experiment now."),
    "recover": ("refute.cli.recover:recover", "Remove what a dead runner left broken, and prove it."),
    "doctor": ("refute.cli.doctor:doctor", "What is live, and is everything here that is needed?"),
    "faults": ("refute.cli.faults:faults", "List the faults, or show one."),
    "ledger": ("refute.cli.ledger:ledger", "Verify, export or upgrade the ledger."),
    "explain": ("refute.cli.explain:explain", "Explain a code from an error message."),
    "schema": ("refute.cli.schema:schema", "Print the published JSON Schemas."),
}
"""Verb to where its command is and its line in the help, in the order in which the help shows them."""


class LazyGroup(click.Group):
    """The verbs of the table; help is made from the table alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """Import one verb."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Write the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, and say which one may have been meant."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            close = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " See refute --help."
            ctx.fail(f"There is no verb {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="refute %(version)s")
def group() -> None:
    """State what you believe about your AI system. Refute tries to prove you wrong, safely, and keeps score of what you learned."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 held, 1 refuted, 2 usage, 3 inconclusive, 4 aborted, 5 a rollback is unproven, 130 interrupted.

    Args:
        arguments: without the program's name; by default the process's own.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = arguments is None
    out = steady() if own else None
    with heeded(to_the_last=own):
        code = _exit_code(given)
    if out is not None:
        out.flush()
        if out.lost:
            click.echo(f"what was said could not be written: {out.lost}", err=True)
            code = code or EXIT_INCONCLUSIVE
    sys.exit(code)


def _exit_code(arguments: list[str]) -> int:
    as_json = "--json" in list(takewhile(lambda argument: argument != "--", arguments))  # what comes after it is somebody else's
    try:
        code = group.main(arguments, prog_name="refute", standalone_mode=False)
    except RefuteError as error:
        tell(error, as_json=as_json)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        _sum_up(EXIT_INTERRUPTED, as_json=as_json)
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else EXIT_HELD if ended.code is None else EXIT_USAGE
    except Exception as error:  # noqa: BLE001 - a mistake of ours must never look like exit 1, which says that a belief was refuted
        traceback.print_exc()
        what = "this is a defect in Refute; nothing was decided"
        seen = f"{type(error).__name__}: {error}"
        tell(refuse("REFUTE-DEFECT", what, exit_code=EXIT_INCONCLUSIVE, seen=seen, next="refute doctor"), as_json=as_json)
        return EXIT_INCONCLUSIVE
    return code if isinstance(code, int) else EXIT_HELD


def tell(error: RefuteError, *, as_json: bool) -> None:
    """Print what is wrong: one JSON object a problem on standard output and a summary last, or lines on standard error.

    Args:
        error: the problems.
        as_json: whether `--json` was given.
    """
    for problem in error.problems:
        if as_json:
            click.echo(json.dumps({"event": "problem", **problem.to_json()}, ensure_ascii=False))
        else:
            click.echo("\n".join(problem.lines()), err=True)
    _sum_up(error.exit_code, as_json=as_json)


def _sum_up(code: int, *, as_json: bool) -> None:
    """End JSON Lines with the summary of a verb that decided nothing."""
    if as_json:
        click.echo(json.dumps({"event": "summary", "exit_code": code, "verdicts": []}))
