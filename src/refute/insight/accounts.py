"""What all experiments have taught, on the terminal or as plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from refute.insight import words
from refute.insight.panels import QUIET, STATE_STYLES, facts, heading, marked
from refute.learning import Account, BeliefAccount, Finding, Scored

_QUALITY = {"sound": "green", "weak": "yellow", "unsound": "red", "untested": QUIET}


def show_account(account: Account, findings: Sequence[Finding], console: Console | None = None) -> None:
    """Print what was learned: bits, beliefs, findings, calibration.

    Args:
        account: of a ledger.
        findings: of the same ledger.
        console: where to; standard output where None.
    """
    screen = console or Console(highlight=False, markup=False, emoji=False)
    if screen.is_terminal:
        screen.print(_picture(account, findings))
    else:
        for line in _lines(account, findings):
            screen.print(line, soft_wrap=True)


def _picture(account: Account, findings: Sequence[Finding]) -> RenderableType:
    parts: list[RenderableType] = [heading("What was learned"), facts(list(_facts(account)))]
    if account.beliefs:
        parts += [heading("By belief"), _beliefs(account)]
    parts.append(heading("Findings", "" if findings else "none: nothing was refuted"))
    parts.append(
        marked([(Text(words.STATE_GLYPHS.get(one.state, "✘"), STATE_STYLES.get(one.state, "red")), _finding(one)) for one in findings])
    )
    scores = list(_scores(account))
    parts.append(heading("Forecasts", "Brier score of three verdicts: 0 is perfect, 2 the worst" if scores else "none was scored yet"))
    if scores:
        parts.append(facts([(name, text) for name, text in scores]))
    return Group(*parts, "")


def _lines(account: Account, findings: Sequence[Finding]) -> Iterator[str]:
    yield from (f"{name}: {text}" for name, text in _facts(account))
    for name, belief in account.beliefs.items():
        yield f"belief {name}: {_learned(belief)}, design {belief.quality}"
    yield from (f"finding {_finding(one).plain}" for one in findings)
    yield from (f"forecasts of {name}: {text}" for name, text in _scores(account))


def _facts(account: Account) -> Iterator[tuple[str, str]]:
    tested = sum(1 for belief in account.beliefs.values() if belief.runs)
    yield "runs", f"{account.runs}, on {tested} of {len(account.beliefs)} beliefs"
    each = "" if account.bits_per_run is None else f", {account.bits_per_run:+.2f} a run"
    yield "bits", f"{account.bits:+.2f}{each}"
    if account.bits_per_risk is not None:
        yield "risk", f"{words.percent(account.risk)} expected; {words.number(account.bits_per_risk / 100)} bits per 1 % of it"


def _beliefs(account: Account) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, belief in account.beliefs.items():
        table.add_row(" ", name, Text(_learned(belief), QUIET), Text(belief.quality, _QUALITY[belief.quality]))
    return table


def _learned(belief: BeliefAccount) -> str:
    if not belief.runs:
        return "never tested"
    return f"{belief.bits:+.2f} bits in {belief.runs} {'run' if belief.runs == 1 else 'runs'}, {belief.decided} decided"


def _mark(finding: Finding) -> Text:
    return Text(words.STATE_GLYPHS.get(finding.state, "✘"), STATE_STYLES.get(finding.state, "red"))


def _finding(finding: Finding) -> Text:
    owner = f" ({words.clean(finding.owner)})" if finding.owner else ""
    return Text.assemble(f"{finding.belief}{owner}: ", words.clean(finding.claim), (f"  {words.clean(finding.words())}", QUIET))


def _scores(account: Account) -> Iterator[tuple[str, str]]:
    named = [("planner", account.planner), ("the team", account.team), *((words.clean(by), one) for by, one in account.people.items())]
    for name, scored in named:
        if scored is not None:
            yield name, _score(scored)
    if account.stated is not None:
        yield "stated", f"{_score(account.stated)} (confidence against first verdict; worst is 1)"


def _score(scored: Scored) -> str:
    one, (low, high) = scored.calibration, scored.brier_interval
    bits = "endless" if one.log_score == float("inf") else f"{one.log_score:.2f} bits"
    return f"Brier {one.brier:.2f} ({low:.2f}–{high:.2f}) over {one.count}, of it miscalibration {one.reliability:.2f}; log score {bits}"
