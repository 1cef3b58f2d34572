"""Sentences and numbers as people read them; the terminal and the report share them."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from refute.core.criterion import CriterionError, parse_criterion
from refute.core.errors import Problem
from refute.core.units import show_share
from refute.intent.magnitudes import shown_magnitude

VERDICT_GLYPHS = {"held": "✔", "refuted": "✘", "inconclusive": "?", "void": "∅", "aborted": "■"}
STATE_GLYPHS = {"held": "✔", "refuted": "✘", "fixed": "✔", "accepted": "·", "stale": "~", "untested": "○"}
PHASES = ("check", "baseline", "inject", "recover")
EXIT_WORDS = {
    0: "every tested belief held",
    1: "a belief was refuted",
    2: "usage or bad input",
    3: "inconclusive, void, refused, or not well again",
    4: "a stop condition aborted a run",
    5: "a rollback is unproven: something may still be broken",
    130: "interrupted, and everything was rolled back",
}


def clean(text: Any) -> str:
    """Return text from elsewhere on one line, without control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()


def percent(value: float | None) -> str:
    """Return a share as a percentage that never rounds to certainty.

    Args:
        value: in [0, 1]; None where unknown.
    """
    if value is None:
        return "–"
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 < value < 1:
        return "> 99.9 %"
    return show_share(value) if 0.0995 <= abs(value) <= 0.9 or value in {0.0, 1.0} else f"{value * 100:.1f} %".replace(".0 %", " %")


def interval(bounds: list[float] | None) -> str:
    """Return an interval of shares as `8.2–16.1 %`, or "" where there is none."""
    return f"{bounds[0] * 100:.1f}–{bounds[1] * 100:.1f} %" if bounds else ""


def duration(value_s: float) -> str:
    """Return a duration as people read it: `0.21 s`, `12 s`, `2 min 40 s`."""
    if value_s < 10:
        return f"{value_s:.2g} s"
    if value_s < 90:
        return f"{value_s:.0f} s"
    minutes, rest = divmod(round(value_s), 60)
    if minutes < 90:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes / 60:.1f} h"


def number(value: float) -> str:
    """Return a count or an amount with thousands kept apart."""
    return f"{value:,.0f}".replace(",", "\u202f") if value == int(value) or abs(value) >= 1000 else f"{value:.2f}"


def measure(name: str, value: float | None) -> str:
    """Return an indicator's mean: a latency in seconds, a share as a percentage, else a plain number."""
    if value is None:
        return "–"
    if name.endswith("latency"):
        return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"
    return percent(value) if 0 <= value <= 1 else f"{value:.3g}"


def evidence(log_e: float) -> str:
    """Return evidence as a factor, from its natural logarithm."""
    if log_e > math.log(1e4):
        return f"over {number(1e4)}"
    if log_e < math.log(0.01):
        return "< 0.01"
    value = math.exp(log_e)
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def weighed(log_e: dict[str, float]) -> str:
    """Return the evidence on both sides against what decides."""
    if log_e["bound"] <= 0:
        return "none was gathered"
    return f"it holds {evidence(log_e['hold'])}, it does not {evidence(log_e['refute'])}; {evidence(log_e['bound'])} decides"


def short(digest: str) -> str:
    """Return the start of a digest: enough to tell one from another."""
    return digest.removeprefix("sha256:")[:12]


def strike(data: dict[str, Any]) -> str:
    """Return what an experiment or a proposal does: `llm.rate_limit on llm, 30 % of calls`; of several faults one after the other."""
    return " and ".join(_strike(one) for one in (data, *(data.get("also") or ())))


def struck(data: dict[str, Any]) -> str:
    """Return which faults strike where, without how hard: `llm.rate_limit on llm`."""
    return " and ".join(f"{one['fault']} on {one['target']}" for one in (data, *(data.get("also") or ())))


def _strike(data: dict[str, Any]) -> str:
    magnitude = f" {clean(data['magnitude'])}" if data.get("magnitude") else ""
    draw = data.get("draw") or "call"
    return f"{data['fault']}{magnitude} on {data['target']}, {percent(data.get('share', 1.0))} of {draw}s"


def cost(data: dict[str, Any]) -> str:
    """Return what an experiment costs at most."""
    spend = data.get("cost") or {}
    parts = [f"{number(spend[name])} {name}" for name in ("units",) if name in spend]
    parts += [duration(spend["seconds"])] if "seconds" in spend else []
    parts += [f"{number(value)} {name}" for name, value in spend.items() if name not in {"units", "seconds"}]
    return "at most " + ", ".join(parts) if parts else "not known"


def exposed(data: dict[str, Any]) -> str:
    """Say which units see the fault: their share, its steps, whose units stay together."""
    steps = ", then ".join(percent(share) for share in [*(data.get("ramp") or ()), data["cohort"]])
    return f"{steps} of {'units' if not data.get('cohort_by') else 'units by ' + clean(data['cohort_by'])}"


def reach(data: dict[str, Any]) -> str:
    """Say what a proposal is predicted to harm; "" where nothing is."""
    chances = [f"{clean(name)} {percent(chance)}" for name, chance in (data.get("reach") or {}).items()]
    parts = [f"{clean(name)} {percent(chance)}" for name, chance in (data.get("harm") or {}).items() if name != data["target"]]
    return f"predicted harm: {', '.join([*chances, *(f'component {part}' for part in parts)])}" if chances or parts else ""


def error_budget(data: dict[str, Any]) -> str:
    """Say what experiments have spent of the error budget, and may still spend."""
    spent = f"{percent(data['spent'])} of the error budget spent by experiments ({percent(data['low'])} to {percent(data['high'])})"
    return f"{spent}; {percent(data['left'])} may still be ({percent(data['left_low'])} to {percent(data['left_high'])})"


_BECAME = {"harmed": "harmed", "spared": "spared", "unclear": "too few units to say"}


def blast_rows(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what was predicted and what happened, by journey and component: name, predicted, actual."""
    predicted, actual = data["predicted"], data["actual"]
    rows = [
        (name or "all units", percent(predicted["journeys"].get(name, 0.0)), _harm(found)) for name, found in actual["journeys"].items()
    ]
    rows += [
        (f"component {name}", percent(predicted["components"].get(name, 0.0)), _BECAME[became])
        for name, became in actual["components"].items()
    ]
    return [(clean(name), chance, what) for name, chance, what in rows]


def _harm(found: dict[str, Any]) -> str:
    rates = [f"{one['bad']} of {one['units']}" for one in (found["treatment"], found["control"])]
    units = f"{found['spoiled']:.1f} units ({found['low']:.1f} to {found['high']:.1f})"
    return f"{_BECAME[found['became']]}: {rates[0]} bad, control {rates[1]}; {units} spoiled"


def blast(data: dict[str, Any]) -> str:
    """Say how well the blast radius was predicted."""
    if data["brier"] is None:
        return "too few units to hold the prediction against"
    surprises = f"surprises: {', '.join(map(clean, data['surprises']))}" if data["surprises"] else "no surprises"
    return f"Brier score of the prediction {data['brier']:.2f}; {surprises}"


def answerable(data: dict[str, Any]) -> str:
    """Return how likely one belief's run is to end with an answer."""
    usually = f", usually after {number(round(data['expected_units']))} units" if data.get("expected_units") else ""
    return f"{percent(1 - data.get('inconclusive', 0.0))} chance of an answer{usually}"


def forecast(data: dict[str, Any]) -> str:
    """Return one belief's forecast."""
    named = ((name, data.get(name)) for name in ("held", "refuted", "inconclusive"))
    return ", ".join(f"{name} {percent(value)}" for name, value in named if value is not None)


def ramp(data: dict[str, Any]) -> str:
    """Say that more units see the fault, or why no more do."""
    share = f"{percent(data['share'])} of units, step {data['step']} of {data['steps']}"
    return f"{share}, from unit {data['first']}" if data["ok"] else f"stayed at {share}: {clean(data['reason'])}"


def landing(data: dict[str, Any]) -> str:
    """Return the proof that a fault arrived, or why there is none; of several, of each by itself."""
    if data.get("parts"):
        return "; ".join(f"{part['fault']} on {part['target']}: {landing(part)}" for part in data["parts"])
    eligible, injected = data["eligible"], data["injected"]
    if data.get("whole"):
        return _seen(data)
    share = f": {percent(injected / eligible)} for a share of {percent(data['expected_share'])}" if eligible else ""
    control = data.get("control_injected", 0)
    beside = f"{control} IN CONTROL" if control else "none in control"
    stray = f"; {data['unattributed']} calls belonged to no unit and were left alone" if data.get("unattributed") else ""
    held = f"; {data['cut']} were still held when it was removed" if data.get("cut") else ""
    reason = f"; {clean(data['reason'])}" if data.get("reason") else ""
    return f"{injected} of {eligible} eligible {data.get('drawn', 'calls')} hit{share}, {beside}{held}{stray}{reason}"


def _seen(data: dict[str, Any]) -> str:
    """Return the proof that a component was struck as a whole."""
    effect = ", ".join(f"{clean(name).replace('_', ' ')} {number(round(value, 3))}" for name, value in data["effect"].items())
    reason = f"; {clean(data['reason'])}" if data.get("reason") else ""
    seen = f"seen in {data['injected']} of {data['eligible']} looks at the component"
    return f"{seen}{f' ({effect})' if effect else ''}; no unit was kept out of it{reason}"


def rollback(data: dict[str, Any]) -> str:
    """Return the proof that a fault is gone, or what to do by hand."""
    if data["ok"]:
        proof = f"; {clean(data['proof'])}" if data.get("proof") else ""
        return f"proven in {duration(data['seconds'])}: {clean(data['how'])}{proof}"
    missing = clean(data.get("proof") or data["how"])
    return f"unproven after {duration(data['seconds'])} ({missing}): something may still be broken"


def counted(side: dict[str, Any]) -> str:
    """Return how many units of one arm breached, with the interval."""
    if not side.get("n"):
        return "no units"
    within = f" ({interval(side.get('interval'))})" if side.get("interval") else ""
    if side.get("band"):
        return f"deviation of {side['n']} units {side['rate']:.2f} on average, {side['band']}"
    return f"{side['breaches']:g} of {side['n']} breached, {percent(side['rate'])}{within}"


def relative(then: str) -> bool:
    """Whether a criterion bounds the difference from the concurrent control; a relative quantile was made absolute before the run."""
    try:
        criterion = parse_criterion(then)
    except CriterionError:
        return False
    return criterion.relative and criterion.quantile is None


def allowed(data: dict[str, Any]) -> str:
    """Return how many units a verdict's criterion lets breach."""
    if data.get("pairs") is not None:
        return f"at most {percent(data['bound'])} of {'pairs' if ' worse by ' in data['then'] else 'runs'} may"
    if relative(data["then"]):
        return f"at most {data['bound'] * 100:.3g} points more than control allowed"
    return f"at most {percent(data['bound'])} allowed"


def under_test(data: dict[str, Any]) -> str:
    """Return what a verdict holds for: unit, environment and versions."""
    versions = [f"{clean(name)} {clean(version)}" for name, version in (data.get("versions") or {}).items()]
    where = [f"environment {clean(data['environment'])}"] if data.get("environment") else []
    return ", ".join([f"unit {data['unit']}", *where, *versions])


def gained(data: dict[str, Any]) -> str:
    """Return the bits that one belief's evidence brought."""
    if not data.get("counted", True):
        return "nothing: this run is no evidence"
    bits = data["bits"]
    gain = f"{bits:.2f} bits" if bits >= 0 else f"{bits:.2f} bits: less sure than before, which is learning too"
    return f"{gain}; surprise {data['surprise_bits']:.1f} bits"


def magnitude(value: float, unit: str) -> str:
    """Return a magnitude with two digits in its unit."""
    return shown_magnitude(float(f"{value:.2g}"), unit)


def learned(data: dict[str, Any]) -> str:
    """Return what one belief's confidence did."""
    before, after = percent(data["confidence_before"]), percent(data["confidence_after"])
    found = f"{data['threshold']['sentence']}; " if data.get("threshold") else ""
    return f"{found}confidence {before}, now {after}; gained {gained(data)}"


def foreseen(data: dict[str, Any]) -> str:
    """Return how likely the forecast had called this outcome."""
    if data.get("outcome_bits") is None:
        return "the forecast said nothing of such an outcome"
    return f"the forecast gave this outcome {percent(2.0 ** -data['outcome_bits'])}"


def headline(verdict: str, claim: str) -> str:
    """Return a verdict in words: `Refuted: Provider rate limits never reach the customer`."""
    return f"{verdict.capitalize()}: {clean(claim)}"


def advice(verdict: dict[str, Any], decides: str = "", owner: str = "") -> str:
    """Return what to do after a verdict.

    Args:
        verdict: of one belief.
        decides: the decision that hangs on it.
        owner: who answers for the belief.
    """
    decision = f"“{clean(decides)}”" if decides else "what hangs on it"
    who = f"{clean(owner)}: " if owner else ""
    match verdict["verdict"]:
        case "held":
            return f"{who}{decision} may rest on this until something that it depends on changes."
        case "refuted":
            return f"{who}decide again on {decision}; mend the weakness and re-run, or accept it with a reason and a date."
        case "aborted":
            return f"{who}hold {decision} back: users would have been hurt. Mend the weakness, or lower the share, then re-run."
        case "void":
            return f"{who}this run answers nothing. Mend what is named above, then re-run; {decision} stays open."
        case _:
            return f"{who}{decision} stays open. Allow more units in blast_radius, or accept a wider bound, then re-run."


def moved(data: dict[str, Any]) -> tuple[str, str]:
    """Return confidence before and after, and the bits between them, of a verdict in a summary; "" for what is not known."""
    before, after, bits = data.get("confidence_before"), data.get("confidence_after"), data.get("bits")
    if before is None or after is None:
        return "", ""
    return f"{percent(before)} → {percent(after)}", f"{bits:+.2f} bits" if bits is not None else ""


def problem_lines(data: dict[str, Any]) -> list[str]:
    """Return one problem as its lines, the first with its code."""
    known = {field.name for field in fields(Problem)}
    return [clean(line) for line in Problem(**{key: str(value) for key, value in data.items() if key in known}).lines()]


def gain(proposal: dict[str, Any]) -> float:
    """Return the bits that a proposal is expected to bring, over its beliefs."""
    return float(sum((proposal.get("bits") or {}).values()))


def proposal(data: dict[str, Any]) -> str:
    """Return one proposal on one line."""
    chance = f", {percent(data['probability_of_answer'])} chance of an answer" if data.get("probability_of_answer") is not None else ""
    size = f", at most {number(data['units'])} units in {duration(data['seconds'])}" if data.get("units") else ""
    return f"{strike(data)}: gain {gain(data):.2f} bits, risk {risk(data)}{chance}{size}"


def risk(proposal: dict[str, Any]) -> str:
    """Return what a proposal is expected to spoil, and of what."""
    return f"{percent(proposal['risk'])} of {clean(proposal.get('risk_of', 'the error budget'))}"


def spend(data: dict[str, float]) -> str:
    """Return what was spent, by name; nothing is said of what cost nothing."""
    return ", ".join(f"{number(value)} {name}" for name, value in data.items() if value)


def campaign(data: dict[str, Any]) -> str:
    """Return how far a campaign is: what it may spend and has spent, and why it ended."""
    spent = duration(data["spent_s"])
    time = spent if data["budget_s"] is None else f"{spent} of {duration(data['budget_s'])}"
    units = number(round(data["spoiled"], 1))
    harm = f"{units} units spoiled" if data["allowed"] is None else f"{units} of {number(round(data['allowed'], 1))} units spoiled"
    runs = f"{data['runs']} {'run' if data['runs'] == 1 else 'runs'}"
    reason = f": {clean(data['reason'])}" if data.get("reason") else ""
    check = f"; {clean(data['check']['words'])}" if data["state"] in {"halted", "ended"} and data.get("check") else ""
    return f"{data['state']}{reason}; {runs}, {time}, {harm}, seed {data['seed']}{check}"
