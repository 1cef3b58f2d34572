"""Faults that strike at once: armed under one lease, each with its own landing, and all gone afterwards."""

from __future__ import annotations

import sqlite3

import pytest

COMPONENTS = """    app: {kind: agent, calls: [llm, lookup]}
    lookup: {kind: tool, python: "app:lookup"}
"""
BELIEFS = """beliefs:
  - id: model-outage-borne
    claim: A model that fails is made up for
    when: {fault: llm.server_error, target: llm}
    then: answered >= 80%
    confidence: 90%
  - id: tool-outage-borne
    claim: A tool that fails is made up for
    when: {fault: tool.error, target: lookup}
    then: answered >= 80%
    confidence: 90%
  - id: both-borne
    claim: A model and a tool that fail at once are made up for
    when:
      - {fault: llm.server_error, target: llm}
      - {fault: tool.error, target: lookup}
    then: answered >= 80%
    confidence: 85%
"""


@pytest.fixture
def redundant(tiny):
    path = tiny.folder / "refute.yaml"
    text = path.read_text().replace("    app: {kind: agent, calls: [llm]}\n", COMPONENTS).replace('"app:answer"', '"app:redundant_answer"')
    path.write_text(text[: text.index("beliefs:")] + BELIEFS)
    return tiny


def of(lines, event):
    return [line for line in lines if line["event"] == event]


def test_what_is_borne_alone_is_refuted_together(redundant):
    code, lines, _ = redundant.refute("run", "--all", "--json")
    assert code == 1
    words = {one["belief"]: one["verdict"] for one in lines[-1]["verdicts"]}
    assert words == {"model-outage-borne": "held", "tool-outage-borne": "held", "both-borne": "refuted"}
    both = next(one for one in of(lines, "experiment") if one.get("also"))
    assert [one["fault"] for one in (both, *both["also"])] == ["llm.server_error", "tool.error"]
    (landing,) = (one for one in of(lines, "landing") if one["experiment"] == both["experiment"])
    assert [(part["fault"], part["ok"], part["injected"] > 0, part["control_injected"]) for part in landing["parts"]] == [
        ("llm.server_error", True, True, 0), ("tool.error", True, True, 0)
    ]  # fmt: skip
    assert all(one["ok"] for one in of(lines, "rollback"))
    assert not redundant.live()
    with sqlite3.connect(redundant.folder / ".refute" / "ledger.db") as ledger:
        rows = dict(ledger.execute("SELECT experiment, fault FROM runs").fetchall())
    assert rows[both["experiment"]] == "llm.server_error + tool.error"


def test_a_rerun_strikes_the_same_calls_with_the_same_faults(redundant):
    path = redundant.folder / "refute.yaml"
    path.write_text(path.read_text().replace("target: llm}\n      -", "target: llm, share: 50%}\n      -"))
    _, first, _ = redundant.refute("run", "--belief", "both-borne", "--json")
    _, again, _ = redundant.refute("rerun", "last", "--json")

    def hit(lines):
        told = [one for line in of(lines, "outcomes") if line["phase"] == "inject" for one in line["outcomes"]]
        return [(one["unit"], one["hits"]) for one in sorted(told, key=lambda one: one["index"])[:20]]

    assert hit(first) == hit(again)
    assert len({str(sorted(hits)) for _, hits in hit(first)}) >= 3, "the two are drawn apart"


def test_a_fault_that_does_not_land_voids_the_run_and_is_named(redundant):
    redundant.edit('"app:redundant_answer"', '"app:toolless_answer"')
    code, lines, _ = redundant.refute("run", "--belief", "both-borne", "--json")
    assert code == 3
    (verdict,) = of(lines, "verdict")
    assert verdict["verdict"] == "void"
    assert "tool.error on lookup" in verdict["reasons"][0]
    assert "llm.server_error" not in " ".join(verdict["reasons"])


def test_where_one_cannot_be_applied_none_is_left(redundant):
    redundant.edit('"app:running"', '"app:running_without_lookup"')
    redundant.edit('"app:redundant_answer"', '"app:careful_answer"')
    code, lines, _ = redundant.refute("run", "--belief", "both-borne", "--json")
    assert code == 3
    assert any("has no 'lookup'" in line["what"] for line in of(lines, "problem"))
    rollbacks = of(lines, "rollback")
    assert rollbacks
    assert all(one["ok"] for one in rollbacks)
    assert not [one for line in of(lines, "outcomes") for one in line["outcomes"] if one["hits"]]
    assert not redundant.live()
