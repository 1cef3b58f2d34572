"""`refute try` on real programs and a real test suite, against a real server on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

AGENT = """
import openai, sys
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="canary-key", max_retries=int(sys.argv[2]))
caught = 0
for number in range(8):
    try:
        client.chat.completions.create(model="text", messages=[{"role": "user", "content": f"question {number}"}])
    except openai.APIStatusError as error:
        caught += 1
print("caught", caught)
sys.exit(7 if caught else 0)
"""

SUITE = """
import anthropic, os, pytest
client = anthropic.Anthropic(base_url=os.environ["URL"], api_key="k", max_retries=0)
def ask():
    return client.messages.create(model="text", max_tokens=50, messages=[{"role": "user", "content": "hello"}])
def test_careless():
    ask()
def test_careful():
    with pytest.raises(anthropic.InternalServerError):
        ask()
"""


@pytest.fixture
def attempt(tmp_path, provider):
    def run(*arguments: str, timeout_s: float = 60):
        environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "URL": provider.url}
        command = [sys.executable, "-m", "refute", "try", "--json", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=timeout_s, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        problems = " ".join(line["code"] for line in lines if line["event"] == "problem")
        return done.returncode, lines[-1] if lines else {}, done.stderr + problems

    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "test_suite.py").write_text(SUITE)
    return run


def test_a_program_sees_its_own_sdk_exception_and_keeps_its_exit_code(attempt, provider):
    code, told, err = attempt("--fault", "llm.rate_limit", "--", sys.executable, "agent.py", provider.url, "0")
    assert code == 0, err
    assert told["landed"]
    assert (told["injected"], told["eligible"], told["retries"]) == (8, 8, 0)
    assert told["exceptions"]["openai.RateLimitError"] == 8
    assert told["program_exit_code"] == 7
    assert "caught 8" in err
    assert not provider.requests, "what is answered instead never reaches the provider"


def test_retries_of_a_hit_call_see_the_fault_too(attempt, provider):
    arguments = ("--fault", "llm.server_error", "--share", "40%", "--", sys.executable, "agent.py", provider.url, "1")
    code, told, _ = attempt(*arguments)
    assert code == 0
    assert 0 < told["injected"] < 8
    assert told["retries"] == told["injected"]
    again = attempt(*arguments)[1]
    assert (again["injected"], again["effect"]) == (told["injected"], told["effect"]), "same seed, same faults"


def test_a_test_suite_on_the_anthropic_sdk(attempt):
    code, told, err = attempt(
        "--fault", "llm.server_error", "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_suite.py"
    )
    assert code == 0
    assert told["program_exit_code"] == 1
    assert sum(count for name, count in told["exceptions"].items() if name.startswith("anthropic.")) == 2
    assert "1 failed, 1 passed" in err


def test_a_program_that_calls_nothing_is_no_pass(attempt):
    code, told, _ = attempt("--fault", "llm.rate_limit", "--", sys.executable, "-c", "print('hello')")
    assert (code, told["landed"]) == (3, False)
    assert told["reason"]


def test_not_a_python_program_is_no_pass(attempt):
    code, told, _ = attempt("--fault", "llm.rate_limit", "--", "true")
    assert (code, told["processes"]) == (3, 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--fault", "llm.rate_limt", "--", "true"), "FAULT-UNKNOWN"),
        (("--fault", "llm.rate_limit", "--share", "30", "--", "true"), "TRY-SHARE"),
        (("--fault", "llm.delay", "--magnitude", "2", "--", "true"), "TRY-MAGNITUDE"),
        (("--fault", "llm.delay", "--magnitude", "900 h", "--", "true"), "TRY-MAGNITUDE"),
        (("--fault", "tool.error", "--", "true"), "TRY-TARGET"),
        (("--fault", "llm.rate_limit", "--", "no-such-command-at-all"), "PROGRAM-START"),
    ],
)
def test_bad_input_is_one_clear_message(attempt, arguments, code):
    exit_code, told, err = attempt(*arguments)
    assert exit_code == 2
    assert code in err
    assert told["exit_code"] == 2


def test_a_signal_ends_the_program_too(tmp_path):
    environ = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    script = "import time, os\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    command = [sys.executable, "-m", "refute", "try", "--fault", "llm.rate_limit", "--", sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 20
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
