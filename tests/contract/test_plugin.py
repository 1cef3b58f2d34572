"""A plug-in is installed for real, found by its entry points, and passes the contract in its own tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1] / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    source, target = folder / "source", folder / "target"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=120)
    return source, target


def run(installed, *arguments):
    environment = os.environ | {"PYTHONPATH": str(installed[1])}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=installed[0], capture_output=True, text=True, timeout=120, check=False
    )


def test_its_fault_is_in_the_catalogue(installed):
    listed = json.loads(run(installed, "-m", "refute", "faults", "--family", "flags", "--json").stdout)["faults"]
    assert [fault["name"] for fault in listed] == ["flags.flipped"]
    shown = run(installed, "-m", "refute", "faults", "show", "flags.flipped")
    assert shown.returncode == 0, shown.stderr
    assert "flag rollouts to the wrong half" in shown.stdout


def test_its_injector_is_chosen_where_no_other_one_can(installed):
    code = (
        "from refute.core.arming import Arming; from refute.core.system import Component;"
        "from refute.injectors.registry import choose;"
        "print(choose(Arming(Component('flags', 'datastore'), 'flags.flipped')).name)"
    )
    assert run(installed, "-c", code).stdout == "flags\n"


def test_its_own_tests_pass_with_the_contract(installed):
    ran = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert ran.returncode == 0, ran.stdout
    assert int(ran.stdout.rpartition(" passed")[0].rpartition("\n")[2].split()[-1]) >= 12
