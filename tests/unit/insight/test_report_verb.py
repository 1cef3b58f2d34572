from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from story import Story

from refute.cli.report import report
from refute.core.errors import RefuteError
from refute.ledger import Ledger


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Ledger.open(".refute/ledger.db") as ledger:
        for event in Story(scale=0.1).events(2):
            if event.kind == "forecast":
                event.data.pop("digest")
            if event.kind != "progress":
                ledger.append(event, durable=False)
    return tmp_path


def test_the_last_run_becomes_a_page(kept):
    done = CliRunner().invoke(report, [], catch_exceptions=False)
    assert done.output.strip() == ".refute/report-last.html"
    assert "Provider rate limits" in (kept / ".refute/report-last.html").read_text(encoding="utf-8")


def test_one_experiment_goes_where_it_is_told(kept):
    done = CliRunner().invoke(report, ["e2", "-o", "there/x.html"], catch_exceptions=False)
    assert (done.exit_code, (kept / "there/x.html").is_file()) == (0, True)


def test_json_is_the_same_content_with_the_digest_that_locked_the_forecast(kept):
    done = CliRunner().invoke(report, ["--json"], catch_exceptions=False)
    model = json.loads(done.output)
    assert len(model["experiments"]) == 2
    assert len(model["experiments"][0]["verdicts"][0]["forecast"]["digest"]) == 12


@pytest.mark.parametrize(("arguments", "code"), [(["nothing"], "REPORT-UNKNOWN"), (["--ledger", "elsewhere.db"], "LEDGER-MISSING")])
def test_what_is_not_there_is_refused(kept, arguments, code):
    with pytest.raises(RefuteError, match=code):
        CliRunner().invoke(report, arguments, catch_exceptions=False)
