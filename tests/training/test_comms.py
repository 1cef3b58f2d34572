"""Faults of the exchange of gradients, with two real ranks on gloo."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from refute.core.training import LANDED_FILE, RUN_VARIABLE

SCRIPT = Path(__file__).parent / "ranks.py"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def ranks(folder, fault, magnitude=0.0, share=1.0, *further):
    """Run two ranks to their end; return what each told."""
    folder.mkdir(exist_ok=True)
    shared = {**os.environ, RUN_VARIABLE: str(folder), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    arguments = [sys.executable, str(SCRIPT), fault, str(magnitude), str(share), *further]
    started = [subprocess.Popen(arguments, env={**shared, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True) for rank in range(2)]
    return [json.loads(process.communicate(timeout=120)[0]) for process in started]


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    first, second = ranks(tmp_path_factory.mktemp("usual") / "run", "comms.dropped", share=0.0)
    assert first["steps"] == second["steps"], "ranks agree"
    assert not first["landed"]
    return first["steps"]


def landed(folder):
    return [json.loads(line) for line in (folder / LANDED_FILE).read_text().splitlines()]


def test_a_lost_result_leaves_one_rank_with_other_weights_and_nobody_is_told(usual, tmp_path):
    first, second = ranks(tmp_path / "run", "comms.dropped")
    assert first["steps"][:2] == second["steps"][:2] == usual[:2]
    assert first["steps"][2] == usual[2]
    assert second["steps"][2] != usual[2]
    assert (first["landed"], second["landed"]) == (0, 1)
    assert first["gone"]
    assert second["gone"]
    assert [hit["step"] for hit in landed(tmp_path / "run")] == [3]


def test_corruption_on_the_way_reaches_all_ranks_alike(usual, tmp_path):
    first, second = ranks(tmp_path / "run", "comms.corrupted", 1000.0)
    assert first["steps"] == second["steps"]
    assert first["steps"][:2] == usual[:2]
    assert first["steps"][2] != usual[2]


@pytest.mark.parametrize(("fault", "held"), [("comms.hung", [2]), ("comms.slow", [2, 3, 4, 5])])
def test_an_exchange_that_waits_holds_both_ranks_and_changes_nothing(fault, held, usual, tmp_path):
    first, second = ranks(tmp_path / "run", fault, 0.5)
    for told in (first, second):
        assert told["steps"] == usual
        assert all(told["took"][step] > 0.4 for step in held)
        assert all(told["took"][step] < 0.4 for step in set(range(1, 6)) - set(held))


def test_a_hook_of_the_programs_own_is_kept(tmp_path):
    first, second = ranks(tmp_path / "own", "comms.dropped", 0.0, 0.0, "own-hook")
    assert first["steps"] == second["steps"]
    struck, other = ranks(tmp_path / "run", "comms.dropped", 0.0, 1.0, "own-hook")
    assert struck["steps"][:3] == first["steps"][:3]
    assert other["steps"][2] != first["steps"][2]
