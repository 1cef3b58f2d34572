"""`refute watch` on a real application: it goes on by itself, tests again what has gone stale, and ends when it is told to."""

from __future__ import annotations

import signal


def prepared(tiny):
    tiny.edit("    if_wrong: high\n", "    if_wrong: high\n    depends_on: [app.py]\n")
    return tiny.start("watch", "--pause", "200 ms", "--seed", "3", "--json")


def waiting(line):
    return line["event"] == "campaign" and line["state"] == "waiting" and "nothing is left" in line["reason"]


def test_it_tests_waits_tests_again_what_went_stale_and_ends_cleanly(tiny):
    process = prepared(tiny)
    seen = tiny.until(process, waiting)
    assert [line["verdict"] for line in seen if line["event"] == "verdict"] == ["refuted"]
    (tiny.folder / "app.py").write_text((tiny.folder / "app.py").read_text() + "\n# another version\n")
    again = tiny.until(process, lambda line: line["event"] == "learned")
    told = next(line for line in again if line["event"] == "experiment")
    assert "the last evidence is older than the code change (app.py)" in told["proposal"]["reasons"]
    tiny.until(process, waiting)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert '"state": "halted"' in out, err
    assert out.splitlines()[-1].startswith('{"event": "summary"')
    assert process.returncode == 1, "the worst of what was run: a belief was refuted"
    assert not tiny.live()


def test_told_to_end_in_the_middle_of_a_run_it_rolls_back_first(tiny):
    process = prepared(tiny)
    tiny.until(process, lambda line: (line["event"], line.get("phase"), line.get("state")) == ("phase", "inject", "started"))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert '"event": "rollback"' in out
    assert not tiny.live()


def test_it_survives_a_run_that_fails(tiny):
    file = tiny.folder / "app.py"
    good = file.read_text()
    file.write_text(good.replace("async def running(", "async def was_running("))
    process = tiny.start("watch", "--pause", "100 ms", "--json")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2, f"what cannot be imported at the start is told at once: {err}"
    file.write_text(good)
    process = tiny.start("watch", "--pause", "100 ms", "--json")
    tiny.until(process, lambda line: line["event"] == "plan")
    (tiny.folder / "cases.jsonl").rename(tiny.folder / "gone.jsonl")
    tiny.until(process, lambda line: line["event"] == "problem")
    (tiny.folder / "gone.jsonl").rename(tiny.folder / "cases.jsonl")
    tiny.until(process, lambda line: line["event"] == "verdict" and line["verdict"] != "void", timeout_s=60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode in {1, 130}
