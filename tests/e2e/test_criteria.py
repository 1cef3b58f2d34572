"""Criteria on what runs cost, stop conditions over all phases, and indicators that misbehave: whole runs through the command line."""

from __future__ import annotations

from pathlib import Path


def verdict_of(lines):
    return lines[-1]["verdicts"][0]


def outcomes_of(lines):
    return [one for line in lines if line["event"] == "outcomes" for one in line["outcomes"]]


def phases_of(lines):
    return [line["phase"] for line in lines if line["event"] == "phase" and line["state"] == "started"]


def priced(tiny, cap):
    tiny.edit("  latency: {latency: true}", '  latency: {latency: true}\n  tokens: {cost: "app:tokens", price: 1 USD per 1k}')
    tiny.edit("steady_state:", f"stop_when: [spend > {cap} USD]\nsteady_state:")


def test_a_cap_on_spend_ends_a_run_before_anything_is_injected(tiny):
    priced(tiny, 25)  # a dollar a unit: the A/A check takes 30, the baseline as many
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (4, "aborted")
    assert "spend > 25 USD" in verdict_of(lines)["reasons"][0]
    assert "inject" not in phases_of(lines)
    stop = next(line for line in lines if line["event"] == "stop")
    assert stop["condition"] == "spend > 25 USD"
    assert 25 < stop["value"] <= 25 + 12
    assert lines[-1]["spend"]["spend"] == sum(one["cost"]["spend"] for one in outcomes_of(lines))
    assert not tiny.live()


def test_a_cap_on_spend_counts_all_phases_and_failed_units(tiny):
    priced(tiny, 80)
    tiny.edit("answered >= 90%", "answered >= 74%")  # open for long: half of the calls are hit, and fail
    code, lines, _ = tiny.refute("run", "--json")
    assert phases_of(lines) == ["check", "baseline", "inject", "recover"]
    assert code in {1, 4}
    stop = next(line for line in lines if line["event"] == "stop")
    assert 80 < stop["value"] <= 80 + 12
    failed = [one for one in outcomes_of(lines) if one["error"]]
    assert failed
    assert all(one["cost"] == {"spend": 1.0} for one in failed), "a unit that failed costs like the dearest"
    assert stop["seconds_to_rollback"] < 1
    assert not tiny.live()


def test_a_belief_about_cost_is_decided(tiny):
    priced(tiny, 5000)
    tiny.edit('"app:answer"', '"app:careful_answer"')
    tiny.edit("then: answered >= 90%", "then: tokens p90 <= 2 USD")
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (0, "held")
    assert verdict_of(lines)["n"] >= 36


def test_an_indicator_that_gives_no_number_does_not_end_the_run(tiny):
    tiny.edit('"app:answer"', '"app:careful_answer"')
    tiny.edit("  latency: {latency: true}", '  latency: {latency: true}\n  shaky: {score: "app:shaky"}')
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (0, "held")
    read = [one["values"]["shaky"] for one in outcomes_of(lines)]
    assert None in read
    assert read.count(1.0) > 10 * read.count(None)


def test_an_indicator_that_is_missing_too_often_voids_the_run(tiny):
    app = Path(tiny.folder / "app.py")
    app.write_text(app.read_text().replace('float("nan") if next(asked) % 30 == 29 else 1.0', 'float("nan")'))
    tiny.edit("  latency: {latency: true}", '  latency: {latency: true}\n  shaky: {cost: "app:shaky"}')
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (3, "void")
    assert "shaky could not be evaluated" in verdict_of(lines)["reasons"][0]


def test_among_faulted_compares_the_units_that_were_drawn_in_both_arms(tiny):
    tiny.edit("then: answered >= 90%", "then: answered worse by <= 30 points\n    among: faulted")
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (1, "refuted")
    injected = [one for line in lines if line["event"] == "outcomes" and line["phase"] == "inject" for one in line["outcomes"]]
    drawn = {arm: [one for one in injected if one["arm"] == arm and one["drawn"].get("llm")] for arm in ("treatment", "control")}
    assert len(drawn["control"]) > 5
    assert not any(one["hits"] for one in drawn["control"])
    assert all(one["hits"] for one in drawn["treatment"])
    told = next(line for line in lines if line["event"] == "verdict")
    assert told["n"] <= len(drawn["treatment"])
    assert told["control"]["n"] <= len(drawn["control"])


def test_a_relative_belief_on_a_journey_without_baseline_is_void_and_nothing_is_injected(tiny):
    tiny.edit("  ask: {entry: app, share: 100%, value: 0.10 USD}", "  ask: {entry: app, share: 99.9%}\n  rare: {entry: app, share: 0.1%}")
    cases = tiny.folder / "cases.jsonl"
    cases.write_text('{"question": "canary-prompt", "journey": "ask"}\n{"question": "canary-prompt", "journey": "rare"}\n')
    tiny.edit("blast_radius:", "stop_when: [rare.latency p99 worse by > 2 s]\nblast_radius:")
    code, lines, _ = tiny.refute("run", "--json")
    assert (code, verdict_of(lines)["verdict"]) == (3, "void")
    assert "nothing to be worse than" in verdict_of(lines)["reasons"][0]
    assert phases_of(lines) == ["check", "baseline"]
