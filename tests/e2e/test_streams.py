"""What a verb decides does not depend on who listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REFUTE = [sys.executable, "-m", "refute"]


@pytest.mark.parametrize(("arguments", "code"), [(("faults",), 0), (("check", "nothing.yaml", "--json"), 2)])
def test_a_reader_that_leaves_and_streams_that_were_never_there_change_no_exit_code(tmp_path, arguments, code):
    read, write = os.pipe()
    os.close(read)
    left = subprocess.run([*REFUTE, *arguments], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (left.returncode, b"Traceback" in left.stderr) == (code, False), left.stderr
    command = " ".join([*REFUTE, *arguments])
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        assert subprocess.run(f"{command} {closed}", shell=True, cwd=tmp_path, stdout=subprocess.DEVNULL, check=False).returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_what_cannot_be_written_is_no_success_and_never_looks_like_a_refuted_belief(tmp_path):
    with Path("/dev/full").open("wb") as full:
        lost = subprocess.run([*REFUTE, "faults"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False)
        both = subprocess.run([*REFUTE, "check", "nothing.yaml"], cwd=tmp_path, stdout=full, stderr=full, check=False)
    assert (lost.returncode, both.returncode) == (3, 2)
    assert lost.stderr == b"what was said could not be written: No space left on device\n"


def test_a_whole_run_goes_on_without_its_output(tiny):
    command = f"{' '.join(REFUTE)} run --json >&- 2>&-"
    ran = subprocess.run(command, shell=True, cwd=tiny.folder, env=tiny.environ, check=False, timeout=60)
    code, _, err = tiny.refute("ledger", "verify")
    assert (ran.returncode, code) == (1, 0), err
