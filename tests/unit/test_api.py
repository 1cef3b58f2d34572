"""What these rooms export is their interface; it does not change by accident."""

import subprocess
import sys

import refute.learning
import refute.stats


def test_names_are_exported_and_sorted():
    for room in (refute.stats, refute.learning):
        assert all(hasattr(room, name) for name in room.__all__)
        assert len(set(room.__all__)) == len(room.__all__)
    assert {"RatioTest", "RelativeTest", "MeanTest", "AbsoluteStop", "RelativeStop", "answerable", "futile"} <= set(refute.stats.__all__)


def test_the_standard_library_is_enough():
    code = "import sys, refute.stats, refute.learning; print('numpy' in sys.modules, 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["False", "False"]
