from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from refute.core.arming import Arming, Landing
from refute.core.intent import Intent, System, Workload
from refute.core.lease import Lease
from refute.core.system import Component
from refute.experiment.design import Experiment
from refute.experiment.proof import landing_faults
from refute.injectors.sublease import Sublease


def experiment(share: float) -> Experiment:
    workload = Workload("python", "app:answer", Path("cases.jsonl"), 5.0)
    intent = Intent(Path("refute.yaml"), System("s", {}), workload, {}, {})
    arming = Arming(Component("llm", "llm", endpoint="http://127.0.0.1:1/v1"), "llm.delay", 2.0, share)
    return Experiment("e", intent, (), arming, 100)


@pytest.mark.parametrize(
    ("landing", "share"),
    [
        (Landing(eligible=251, injected=77), 0.3),
        (Landing(eligible=12, injected=12), 1.0),
        (Landing(eligible=29, injected=19, cut=10), 1.0),
        (Landing(eligible=40, injected=12, cut=14), 0.3),
    ],
)
def test_a_landing_that_agrees_with_its_share_is_proven(landing, share):
    assert landing_faults([landing], experiment(share)) == []


@pytest.mark.parametrize(
    ("landing", "share", "reason"),
    [
        (Landing(), 0.3, "nothing landed"),
        (Landing(unattributed=9), 0.3, "outside any unit"),
        (Landing(eligible=30), 1.0, "none of 30"),
        (Landing(eligible=29, injected=9), 1.0, "does not agree"),
        (Landing(eligible=200, injected=120), 0.3, "does not agree"),
        (Landing(eligible=100, injected=30, control_injected=1), 0.3, "control"),
    ],
)
def test_anything_else_voids(landing, share, reason):
    assert reason in " ".join(landing_faults([landing], experiment(share)))


def test_of_several_faults_each_must_land_and_the_one_that_did_not_is_named():
    one = experiment(0.3)
    several = replace(one, also=(replace(one.arming, fault="llm.rate_limit"),))
    good, missed = Landing(eligible=251, injected=77), Landing(eligible=90)
    assert landing_faults([good, good], several) == []
    assert landing_faults([good, missed], several) == ["llm.rate_limit on llm: none of 90 eligible calls was hit"]
    assert len(landing_faults([], several)) == 2


def test_waits_that_the_end_of_the_permission_cuts_short_are_counted():
    sublease = Sublease(Lease(20))
    assert not sublease.wait_revoked(0.01)
    waiting = threading.Thread(target=sublease.wait_revoked, args=(20,))
    waiting.start()
    while not sublease.cut_short():
        time.sleep(0.001)
    sublease.revoke()
    waiting.join()
    assert sublease.cut_short() == 1
    assert asyncio.run(Sublease(Lease(20)).wait_revoked_async(0.01)) is False


def test_a_landing_is_read_as_it_was_written_by_older_versions_too():
    seen = Landing(eligible=3, models=("large",)) + Landing(eligible=1, models=("large", "small"))
    assert seen.models == ("large", "small")
    assert Landing.from_json(json.loads(json.dumps(seen.to_json()))) == seen
    assert Landing.from_json({"eligible": 3}).models == ()
