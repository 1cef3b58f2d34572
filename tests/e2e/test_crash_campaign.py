"""A fast share of the crash campaign, and proof that it can fail; `benchmarks/crash_campaign.py` does the whole."""

from __future__ import annotations

from itertools import islice

import crashes
import pytest
from crashes import Kill, instants, steps, trial

from refute.injectors.host.signals import SignalsInjector


@pytest.mark.parametrize("kill", list(steps())[::5], ids=str)
def test_whoever_is_killed_at_a_step_of_the_journal_nothing_stays_broken(kill):
    assert trial("process.pause", kill).wrong == []


@pytest.mark.parametrize("kill", list(islice(instants(7), 8)), ids=str)
def test_whoever_is_killed_at_an_instant_nothing_stays_broken(kill):
    assert trial("process.pause", kill).wrong == []


@pytest.mark.host
@pytest.mark.parametrize("fault", ["network.partition", "network.delay", "network.reset", "disk.full"])
@pytest.mark.parametrize(
    "kill", [Kill(("runner",), "after intended"), Kill(("guardian", "runner"), "before applied"), *islice(instants(3), 2)], ids=str
)
def test_nothing_stays_broken_in_the_network_and_on_the_disk(fault, kill):
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
