"""Evidence goes stale when something changes that a belief depends on, says why, and counts again when the change is taken back."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from refute.campaign import kin
from refute.campaign.freshness import aging_of
from refute.campaign.plan import Question, ask
from refute.campaign.standing import standings
from refute.cli import group
from refute.core.events import Event
from refute.intent import load
from refute.intent.dependency import kind_of
from refute.learning import Decay
from refute.ledger import Ledger
from support.intents import FAULTS, VALID, changed, project

ID, DAY_S, NOW = "rate-limits-absorbed", 86_400.0, 1_800_000_000.0


def stated(tmp_path, old="", new=""):
    return load(project(tmp_path, changed(old, new)[0] if old else VALID), faults=FAULTS)


def learned(intent, *, belief=ID, at=NOW, verdict="held", breaches=0.0, n=200, name="e1", now=NOW):
    before = standings(intent, [], "", now)[belief]
    return {
        "event": "learned", "at": at, "experiment": name, "belief": belief, "environment": "", "verdict": verdict, "counted": True, "n": n,
        "breaches": breaches, "bound": 0.05, "draw": name, "marks": dict(before.marks), "files": before.files,
    }  # fmt: skip


def stands(intent, events, belief=ID, now=NOW):
    return standings(intent, events, "", now)[belief]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prompts/", "prompt"), ("app/prompt.txt", "prompt"), ("app/llm.py", "code"), ("index/", "index"), ("docs.faiss", "index"),
        ("requirements.txt", "package"), ("uv.lock", "package"), ("package:openai", "package"), ("Dockerfile", "deployment"),
        ("env:TAG", "deployment"), ("image:app:1", "deployment"), ("model", "model"), ("model:llm", "model"), ("weights.gguf", "model"),
        ("graph", "graph"), ("belief:other", "belief"), ("criterion", "intent"), ("cases", "intent"), ("indexes.py", "code"),
    ],
)  # fmt: skip
def test_what_kind_of_dependency_a_name_is(name, kind):
    assert kind_of(name) == kind


def answering(event, models, at=None):
    """Return an event of a run in which the model said what it is."""
    marks = event["marks"] | {"model:llm as it answers": models}
    return event | {"answered": {"llm": models}, "marks": marks} | ({} if at is None else {"at": at})


def test_a_changed_folder_says_which_files(tmp_path):
    intent = stated(tmp_path)
    events = [learned(intent)]
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / "prompts" / name).write_text("new\n")
    (said,) = stands(intent, events).stale.reasons()
    assert said == "the last evidence is older than the prompt change (prompts/: a.txt added, b.txt added, c.txt added and more)"


def test_another_model_that_answers_in_any_later_run_reopens_what_rests_on_it(tmp_path):
    intent = stated(tmp_path)
    first = answering(learned(intent), "large-2026-05")
    assert stands(intent, [first]).answered
    later = answering(learned(intent, belief="slow-retrieval-tolerated", at=NOW + 60, name="e2"), "large-2026-08")
    after = stands(intent, [first, later], now=NOW + 120)
    assert (after.state, after.answered) == ("stale", False)
    assert after.stale.reasons() == (
        "the last evidence is older than the model change (model:llm as it answers: large-2026-05 then, large-2026-08 now)",
    )
    back = answering(learned(intent, belief="slow-retrieval-tolerated", at=NOW + 90, name="e3"), "large-2026-05")
    assert stands(intent, [first, later, back], now=NOW + 120).answered


def test_runs_in_which_no_model_says_what_it_is_say_nothing_of_models(tmp_path):
    intent = stated(tmp_path)
    silent, named = learned(intent), answering(learned(intent, at=NOW + 60, name="e2"), "large-2026-05")
    assert stands(intent, [silent, named], now=NOW + 120).stale is None
    assert len(stands(intent, [silent, named], now=NOW + 120).pieces) == 2
    turns = answering(learned(intent, at=NOW + 90, name="e3"), "large-2026-05, small-2026-01")
    assert stands(intent, [named, turns], now=NOW + 120).stale is None


def test_a_change_mixes_reopens_and_says_why_and_a_revert_restores(tmp_path):
    intent = stated(tmp_path)
    events = [learned(intent)]
    before = stands(intent, events)
    assert (before.state, before.answered, before.stale) == ("held", True, None)
    prompt = next(path for path in (tmp_path / "prompts").iterdir() if path.is_file())
    written = prompt.read_text()
    prompt.write_text(written + "Be brief.\n")
    after = stands(intent, events)
    assert (after.state, after.answered) == ("stale", False)
    rho = Decay().rho["prompt"]
    assert after.confidence == pytest.approx((1 - rho) * before.confidence + rho * 0.9, abs=1e-3)
    assert after.stale.reasons() == (f"the last evidence is older than the prompt change (prompts/: {prompt.name})",)
    proposal = next(one for one in ask(intent, standings(intent, events, "", NOW), Question()).proposals if one.beliefs[0].id == ID)
    assert f"the last evidence is older than the prompt change (prompts/: {prompt.name})" in proposal.reasons
    prompt.write_text(written)
    assert stands(intent, events) == before


def test_another_question_is_not_answered_by_old_evidence_at_all(tmp_path):
    events = [learned(stated(tmp_path))]
    other = stated(tmp_path, "then: answered >= 95%", "then: answered >= 96%")
    assert stands(other, events).confidence == pytest.approx(0.9)
    assert stands(other, events).stale.reasons() == ("the question has changed since the last evidence: criterion",)


def test_a_change_of_the_system_graph_is_a_change(tmp_path):
    events = [learned(stated(tmp_path))]
    other = stated(tmp_path, "calls: [retriever, llm, orders]", "calls: [retriever, llm]")
    standing = stands(other, events)
    assert standing.stale.reasons() == ("the last evidence is older than a change of the system graph",)
    assert standing.confidence == pytest.approx(0.6 * stands(stated(tmp_path), events).confidence + 0.4 * 0.9, abs=1e-3)


def test_evidence_ages_and_in_the_end_answers_nothing(tmp_path):
    intent = stated(tmp_path)
    events = [learned(intent)]
    half = Decay().half_life_d
    sure = stands(intent, events).confidence
    soon, late = stands(intent, events, now=NOW + 0.5 * half * DAY_S), stands(intent, events, now=NOW + 1.5 * half * DAY_S)
    assert sure > soon.confidence > late.confidence > 0.9
    assert soon.answered
    assert (late.state, late.stale.reasons()) == ("stale", ("the last evidence is 135 days old",))


def test_a_new_run_on_a_stale_belief_says_what_the_ledger_says_later(tmp_path):
    intent = stated(tmp_path)
    events = [learned(intent)]
    (tmp_path / "app" / "llm.py").write_text('MODEL = "large"\n')
    before = stands(intent, events)
    from refute.experiment.assess import Count, Look

    after, seen = before.learned_from(Look(treatment=Count(60, 4.0), control=Count(60, 0.0), bound=0.05), "e2")
    events.append(learned(intent, breaches=seen.counts.breaches, n=60, verdict="inconclusive", name="e2"))
    assert stands(intent, events).confidence == pytest.approx(after.confidence)
    assert 0.0 < stands(intent, events).claim.seen.units == 60


def test_versions_variables_and_packages_are_dependencies(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_NAME", "small-2026-01")
    text = changed("depends_on: [prompts/, app/llm.py, model]", "depends_on: [env:RELEASE, package:click, package:no-such-package]")[0]
    line = next(one for one in text.splitlines() if one.strip().startswith("llm:"))
    text = text.replace(line, line.replace("kind: llm", 'kind: llm, version: "env:MODEL_NAME"'))
    intent = load(project(tmp_path, text), faults=FAULTS)
    events = [learned(intent)]
    marks = stands(intent, events).marks
    assert marks["package:click"] != "" == marks["package:no-such-package"] == marks["env:RELEASE"]
    assert "small-2026-01" not in json.dumps(dict(marks)), "a variable's value is hashed"
    monkeypatch.setenv("MODEL_NAME", "small-2026-02")
    assert stands(intent, events).stale.reasons() == ("the last evidence is older than the model change (model:llm)",)
    monkeypatch.setenv("RELEASE", "42")
    assert len(stands(intent, events).stale.reasons()) == 2


def test_an_image_is_asked_of_docker(tmp_path, monkeypatch):
    from refute.intent import dependency

    tool = tmp_path / "docker"
    tool.write_text('#!/bin/sh\n[ "$5" = app:1 ] && echo sha256:abc || exit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    dependency._image.cache_clear()
    assert (dependency.outside("image:app:1") != "", dependency.outside("image:app:2")) == (True, "")
    dependency._image.cache_clear()


def test_a_belief_that_rests_on_another_is_reopened_with_it(tmp_path):
    other = "slow-retrieval-tolerated"
    text = VALID.replace("    decides: Size of the retriever's timeout", f"    depends_on: [{ID}]\n    decides: Size")
    assert text != VALID
    intent = load(project(tmp_path, text), faults=FAULTS)
    events = [learned(intent, belief=other)]
    assert stands(intent, events, other).state == "held"
    refuted = [*events, learned(intent, verdict="refuted", breaches=80.0, name="e2")]
    assert stands(intent, refuted, other).stale.reasons() == (f"what it rests on has changed: {ID}",)
    (tmp_path / "app" / "llm.py").write_text('MODEL = "large"\n')
    assert stands(intent, events, other).state == "stale"


def test_beliefs_that_rest_on_each_other_do_no_harm(tmp_path):
    text = VALID.replace("depends_on: [prompts/, app/llm.py, model]", "depends_on: [slow-retrieval-tolerated]")
    text = text.replace("    decides: Size of the retriever's timeout", f"    depends_on: [{ID}]\n    decides: Size")
    intent = load(project(tmp_path, text), faults=FAULTS)
    events = [learned(intent)]
    assert stands(intent, events).state == "held"
    assert stands(intent, []).state == "untested"


def test_what_relatives_say_goes_stale_with_them(tmp_path):
    more = "\n  - {id: errors, claim: c, when: {fault: llm.rate_limit, target: llm, share: 20%}, then: answered >= 95%, confidence: 60%}\n"
    intent = load(project(tmp_path, VALID.rstrip() + more), faults=FAULTS)
    events = [learned(intent, verdict="refuted", breaches=90.0)]
    fresh = kin.prediction(intent, intent.beliefs["errors"], standings(intent, events, "", NOW)).confidence
    (tmp_path / "app" / "llm.py").write_text('MODEL = "large"\n')
    stale = kin.prediction(intent, intent.beliefs["errors"], standings(intent, events, "", NOW)).confidence
    assert fresh < stale < 0.6


def test_half_life_and_rho_are_learned_from_reruns(tmp_path):
    intent = stated(tmp_path)
    one = learned(intent)
    events = []
    for number in range(40):
        changed_prompt = number % 2
        marks = one["marks"] | {"prompts/": f"{number if changed_prompt else number - 1}"}
        events.append(
            one | {"at": NOW + number, "experiment": f"e{number}", "verdict": "refuted" if (number + 1) % 4 > 1 else "held", "marks": marks}
        )
    assert aging_of(events, NOW).decay.rho["prompt"] > Decay().rho["prompt"]
    steady = [one | {"at": NOW + 60 * DAY_S * number} for number in range(30)]
    assert aging_of(steady, NOW).decay.half_life_d >= Decay().half_life_d
    assert aging_of([], NOW).decay == Decay()


def test_check_says_what_is_open_again(tmp_path):
    path = tmp_path / "refute.yaml"
    intent = load(project(tmp_path))
    event = learned(intent)
    with Ledger.open(tmp_path / ".refute" / "ledger.db") as ledger:
        ledger.append(Event("learned", {key: value for key, value in event.items() if key not in {"event", "at"}}, NOW))
    assert "open again" not in CliRunner().invoke(group, ["check", "--no-imports", str(path)]).output
    (tmp_path / "app" / "llm.py").write_text('MODEL = "large"\n')
    told = CliRunner().invoke(group, ["check", "--no-imports", str(path)]).output
    assert f"{ID} is open again: the last evidence is older than the code change (app/llm.py)" in told
