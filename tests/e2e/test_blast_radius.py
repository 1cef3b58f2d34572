"""Who sees a fault, and how that grows: whole runs through the command line."""

from __future__ import annotations

import json
from collections import defaultdict


def outcomes_of(lines, phase="inject"):
    return [one for line in lines if line["event"] == "outcomes" and line["phase"] == phase for one in line["outcomes"]]


def test_a_ramp_goes_up_step_by_step_and_each_unit_is_where_it_was_said_to_be(tiny):
    tiny.edit("cohort: 50%", "ramp: [5%, 20%, 50%]")
    tiny.edit("units: 400", "units: 900")
    tiny.edit("answered >= 90%", "answered >= 45%")  # half of the calls are hit: open for long
    _, lines, _ = tiny.refute("run", "--json", "--seed", "3")
    steps = [line for line in lines if line["event"] == "ramp"]
    assert [(step["share"], step["ok"]) for step in steps] == [(0.2, True), (0.5, True)]
    first, second = (step["first"] for step in steps)
    treated = defaultdict(list)
    for one in outcomes_of(lines):
        treated[(one["index"] >= first) + (one["index"] >= second)].append(one["arm"] == "treatment")
    shares = [sum(treated[step]) / len(treated[step]) for step in range(3)]
    assert shares[0] < 0.12
    assert 0.08 < shares[1] < 0.4
    assert 0.35 < shares[2] < 0.65
    hit_by_step = [one for one in outcomes_of(lines) if one["hits"] and one["index"] < first]
    assert hit_by_step, "a step must have landed before the next begins"
    assert all(one["arm"] == "treatment" for one in outcomes_of(lines) if one["hits"])
    landing = next(line for line in lines if line["event"] == "landing")
    assert landing["ok"], landing
    assert not tiny.live()


def test_a_ramp_stays_where_a_stop_condition_is_near(tiny):
    tiny.edit("cohort: 50%", "ramp: [10%, 50%]")
    tiny.edit("share: 50%", "share: 100%")
    tiny.edit("steady_state:", "stop_when: [answered < 70%]\nsteady_state:")
    code, lines, _ = tiny.refute("run", "--json", "--seed", "3")
    assert code in {1, 4}
    treated = sum(one["arm"] == "treatment" for one in outcomes_of(lines))
    assert treated < 25, "at once it would have been half of all units"
    assert not tiny.live()


def test_units_of_one_user_share_an_arm_and_nobody_is_named(tiny):
    cases = [json.loads(line) for line in (tiny.folder / "cases.jsonl").read_text().splitlines()]
    many = [{**case, "id": f"{case['id']}-{at}", "tenant": f"canary-tenant-{at % 200}"} for at in range(400) for case in cases[:1]]
    (tiny.folder / "cases.jsonl").write_text("\n".join(map(json.dumps, many)))
    tiny.edit("cohort: 50%", "cohort: 50%, cohort_by: tenant")
    tiny.edit("units: 400", "units: 80")
    code, lines, _ = tiny.refute("run", "--json")
    assert code == 3
    assert "one of each `tenant` counts" in next(line for line in lines if line["event"] == "plan")["refusals"][0]["reason"], (
        "too few users to answer are told before anything runs"
    )
    tiny.edit("units: 80", "units: 900")
    _, lines, _ = tiny.refute("run", "--json", "--seed", "3")
    arms = defaultdict(set)
    for one in outcomes_of(lines):
        arms[one["cluster"]].add(one["arm"])
        assert one["unit"].startswith(f"{one['cluster']}/")
    assert len(arms) >= 8
    assert all(len(seen) == 1 for seen in arms.values())
    verdict = next(line for line in lines if line["event"] == "verdict")
    assert 0 < verdict["n"] <= sum(seen == {"treatment"} for seen in arms.values()), "each user counts once"
    assert "canary-tenant" not in json.dumps(lines)
    assert not tiny.live()


def test_who_is_kept_out_is_never_hit_and_is_no_control(tiny):
    cases = [json.loads(line) for line in (tiny.folder / "cases.jsonl").read_text().splitlines()]
    split = [{**case, "tier": "free" if at % 2 else "paid"} for at, case in enumerate(cases)]
    (tiny.folder / "cases.jsonl").write_text("\n".join(map(json.dumps, split)))
    tiny.edit("cohort: 50%", "cohort: 50%, except: {cases: {tier: paid}}")
    paid = {str(case["id"]) for case in split if case["tier"] == "paid"}
    _, lines, _ = tiny.refute("run", "--json", "--seed", "3")
    outcomes = outcomes_of(lines)
    assert {one["arm"] for one in outcomes if one["cluster"] in paid} == {"outside"}
    assert {one["arm"] for one in outcomes if one["cluster"] not in paid} == {"treatment", "control"}
    assert not any(one["hits"] for one in outcomes if one["cluster"] in paid)
    verdict = next(line for line in lines if line["event"] == "verdict")
    assert verdict["control"]["n"] == sum(one["arm"] == "control" and bool(one["eligible"]) for one in outcomes)
    assert not tiny.live()


def test_an_environments_own_stop_condition_ends_a_run(tiny):
    tiny.edit("beliefs:", 'environments:\n  staging: {stop_when: ["answered < 95%"]}\nbeliefs:')
    code, lines, _ = tiny.refute("run", "--json", "--environment", "staging", "--seed", "3")
    assert code in {1, 4}
    stops = [line["condition"] for line in lines if line["event"] == "stop"]
    assert stops in (["answered < 95%"], [])
    assert not tiny.live()


def test_harm_is_predicted_before_and_counted_after_and_the_budget_knows(tiny):
    tiny.edit("duration: 30 s", "duration: 30 s, error_budget: {objective: 50%, window: 30 d, spend: 2%}")
    _, lines, _ = tiny.refute("run", "--json", "--seed", "3")
    announced = next(line for line in lines if line["event"] == "experiment")
    blast = next(line for line in lines if line["event"] == "blast")
    assert blast["predicted"]["journeys"] == announced["proposal"]["reach"]
    assert blast["predicted"]["components"] == announced["proposal"]["harm"]
    ask = blast["actual"]["journeys"]["ask"]
    assert ask["became"] == "harmed"
    assert blast["actual"]["components"] == {"app": "harmed", "llm": "harmed"}
    assert 0 < ask["low"] < ask["spoiled"] < ask["high"]
    assert 0 <= blast["brier"] <= 1
    _, lines, _ = tiny.refute("plan", "--json", "--again")
    budget = (
        lines[-1]["error_budget"] if lines[-1]["event"] == "plan" else next(one for one in lines if one["event"] == "plan")["error_budget"]
    )
    assert budget["spent"] == blast["spoiled"]["units"] / (0.5 * 60 * 30 * 86400)
    assert budget["low"] < budget["spent"] < budget["high"]


def test_a_target_that_is_not_well_is_skipped_for_the_next_best_one(tiny):
    tiny.edit("answered >= 95%", "answered >= 99.9%")
    second = """
  - id: delays-absorbed
    claim: Delays never reach the user
    when: {fault: llm.server_error, target: llm}
    then: answered >= 90%
    confidence: 90%
    decides: Launch without a second provider
"""
    file = tiny.folder / "refute.yaml"
    file.write_text(file.read_text().rstrip("\n") + second)
    tiny.edit('"app:answer"', '"app:broken_answer"')
    code, lines, _ = tiny.refute("run", "--json", "--seed", "3")
    assert code == 3
    assert len([line for line in lines if line["event"] == "experiment"]) == 1, "nothing more is run on a target that is sick"
    ended = [line for line in lines if line["event"] == "next"]
    assert ended[-1]["proposals"] == []
