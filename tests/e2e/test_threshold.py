"""A tolerance threshold is found by several real runs: from below, with its interval, in terminal, report and ledger."""

from __future__ import annotations

import pytest

LIMIT_S = 0.5


def state_a_threshold(tiny, *, at_least="200 ms"):
    tiny.edit("{fault: llm.rate_limit, target: llm, share: 50%}", "{fault: llm.delay, target: llm}")
    tiny.edit("then: answered >= 90%", f"then: latency p90 <= {LIMIT_S} s")
    tiny.edit("confidence: 90%", f"confidence: {{at_least: {at_least}, sure: 70%}}")


def test_the_threshold_is_found_from_below(tiny):
    state_a_threshold(tiny)
    code, lines, _ = tiny.refute("run", "--belief", "rate-limits-absorbed", "--json", timeout_s=240)
    learned = [line for line in lines if line["event"] == "learned"]
    found = learned[-1]["threshold"]
    tried = [one["magnitude"] for one in found["tried"]]
    assert len(learned) == len(tried) > 2
    assert found["low"] < LIMIT_S
    assert found["high"] > 0.6 * LIMIT_S, "base latency is part of what users wait"
    assert found["middle"] == pytest.approx(LIMIT_S, rel=0.5)
    assert found["sentence"].startswith("holds up to ")
    assert max(tried) < 6 * LIMIT_S, "from below: nothing near the two minutes that the fault could last"
    assert learned[-1]["confidence_after"] > 0.95
    assert {line["verdict"] for line in learned} <= {"held", "inconclusive", "void"}
    assert code == 0
    points = found["curve"]
    assert all(one["low"] <= one["rate"] <= one["high"] for one in points)
    assert not tiny.live()
    order = [(line["event"], line.get("digest")) for line in lines if line["event"] in {"forecast", "verdict"}]
    assert [event for event, _ in order] == ["forecast", "verdict"] * len(learned)

    assert tiny.refute("report")[0] == 0
    assert found["sentence"] in (tiny.folder / ".refute/report-last.html").read_text()


def test_a_belief_in_too_much_is_refuted(tiny):
    state_a_threshold(tiny, at_least="2 s")
    code, lines, _ = tiny.refute("run", "--belief", "rate-limits-absorbed", "--json", timeout_s=240)
    learned = [line for line in lines if line["event"] == "learned"]
    assert "refuted" in {line["verdict"] for line in learned}
    assert learned[-1]["confidence_after"] < 0.05
    assert code == 1
