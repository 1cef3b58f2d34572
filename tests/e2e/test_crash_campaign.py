"""A fast share of the crash campaign, and proof that it can fail; `benchmarks/crash_campaign.py` does the whole."""

from __future__ import annotations

from itertools import islice

import crashes
import pytest
from crashes import FAULTS, Kill, instants, steps, trial

from refute.injectors.host.signals import SignalsInjector


@pytest.mark.parametrize("kill", list(steps())[::5], ids=str)
def test_whoever_is_killed_at_a_step_of_the_journal_nothing_stays_broken(kill):
    assert trial("process.pause", kill).wrong == []


@pytest.mark.parametrize("kill", list(islice(instants(7), 8)), ids=str)
def test_whoever_is_killed_at_an_instant_nothing_stays_broken(kill):
    assert trial("process.pause", kill).wrong == []


@pytest.mark.host
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "process.pause"])
@pytest.mark.parametrize(
    "kill", [Kill(("runner",), "after applied"), Kill(("guardian", "runner"), "before applied"), *islice(instants(3), 1)], ids=str
)
def test_nothing_stays_broken_whatever_was_broken(fault, kill):
    assert trial(fault, kill).wrong == []


def test_the_campaign_sees_a_rollback_that_does_nothing(monkeypatch):
    monkeypatch.setattr(SignalsInjector, "rollback", lambda self, handle: None)
    monkeypatch.setattr(SignalsInjector, "verify", lambda self, handle: True)
    monkeypatch.setattr(crashes, "ALLOWED_S", 0.5)
    assert "the fault is still seen" in trial("process.pause", Kill(("runner",), "after applied")).wrong


def test_the_campaign_sees_a_guardian_that_does_not_look_after_its_runs(monkeypatch):
    monkeypatch.setattr("refute.safety._ward.Ward._remove", lambda self: {})
    monkeypatch.setattr(crashes, "ALLOWED_S", 0.5)
    wrong = trial("process.pause", Kill(("runner",), "after applied")).wrong
    assert [one for one in wrong if one.startswith("still live in the journal")]
