from __future__ import annotations

import pytest
from click.testing import CliRunner

from refute.cli._trainings import NEEDS
from refute.cli.init import init
from refute.core.errors import RefuteError
from refute.intent import load


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_is_whole_and_valid(name, tmp_path):
    done = CliRunner().invoke(init, [str(tmp_path / "refute.yaml"), "--training", name], catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "train.py").exists()
    intent = load(tmp_path / "refute.yaml")
    assert intent.workload.training is not None
    assert len(intent.beliefs) >= 2
    modules = {component.python.partition(":")[0] for component in intent.system.components.values() if component.python}
    assert all((tmp_path / f"{module}.py").exists() for module in modules)


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "train.py").write_text("mine")
    with pytest.raises(RefuteError, match="FILE-EXISTS"):
        CliRunner().invoke(init, [str(tmp_path / "refute.yaml"), "--training", "digits"], catch_exceptions=False)
    assert (tmp_path / "train.py").read_text() == "mine"
    assert not (tmp_path / "refute.yaml").exists()
