"""Several faults of one run in several processes that outlive it, and kill -9 of the runner: nothing stays broken anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

import httpx
import pytest

from refute.injectors.door import armed_at, signs
from refute.safety.journal import Journal
from refute.safety.state import doors_directory
from servers.executing import exec_process
from servers.proxying import proxy_process

INTENT = """
version: 1
system:
  name: plain
  owner: team-plain
  components:
    service: {kind: service, calls: [llm]}
    llm: {kind: llm, endpoint: "PROXY/v1", via: exec plain, calls: [gateway]}
    gateway: {kind: llm, endpoint: "PROXY/v1", via: proxy}
journeys:
  ask: {entry: service, share: 100%}
workload:
  http: "SERVICE"
  cases: cases.jsonl
  rate: 40/s
  timeout: 3 s
indicators:
  answered: {ratio: "checks:answered"}
steady_state: {window: 1 s, holds: ["answered >= 95%"]}
blast_radius: {cohort: 50%, units: 3000, duration: 60 s}
beliefs:
  - id: absorbed
    claim: Slow models everywhere never reach the user
    when:
      - {fault: llm.delay, target: llm, magnitude: 40 ms, share: 50%}
      - {fault: llm.delay, target: gateway, magnitude: 60 ms, share: 50%}
      - {fault: llm.wrong_model, target: gateway, share: 50%}
    then: answered >= 99%
    confidence: 80%
"""
CHECKS = """
def answered(case, answer):
    return answer["status"] == 200 and bool(answer["body"]["text"])
"""


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def armed():
    """Return the handles that each process says are armed in it, by its role."""
    found = {}
    for sign in signs(doors_directory()):
        with contextlib.suppress(OSError, ValueError):
            found[sign.role] = set(armed_at(sign))
    return found


async def until(condition, timeout_s):
    """Return how long it took, seconds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout_s, armed()
        await asyncio.sleep(0.05)
    return time.monotonic() - start


async def refute(*arguments, cwd):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "refute", *arguments, cwd=cwd, stdout=pipe, stderr=pipe, limit=2**24)


async def read_until(runner, moment):
    """Read what a run tells until all its faults are armed in the injection, or until all of them are at work; return what is hit."""
    hit = set()
    async with asyncio.timeout(60):
        while line := await runner.stdout.readline():
            event = json.loads(line)
            if event["event"] == "outcomes" and event["phase"] == "inject":
                hit |= {name for one in event["outcomes"] for name in one["hits"]}
                assert not [one for one in event["outcomes"] if one["arm"] == "control" and one["hits"]]
            begun = event["event"] == "phase" and (event["phase"], event["state"]) == ("inject", "started")
            if (begun and moment == "as soon as all are armed") or len(hit) == 2:
                return hit
    raise AssertionError(await runner.stderr.read())


@pytest.mark.parametrize("moment", ["as soon as all are armed", "under load"])
async def test_kill_9_with_several_handles_in_several_processes(provider, tmp_path, moment):
    with proxy_process(provider.url) as proxy, exec_process("uvicorn", proxy.url, PASSES_ON="1") as service:
        (tmp_path / "refute.yaml").write_text(INTENT.replace("PROXY", proxy.url).replace("SERVICE", service.url))
        (tmp_path / "checks.py").write_text(CHECKS)
        (tmp_path / "cases.jsonl").write_text("".join(json.dumps({"id": f"case-{number}", "question": "?"}) + "\n" for number in range(20)))
        runner = await refute("run", "--json", cwd=tmp_path)
        hit = await read_until(runner, moment)
        handles = armed()["exec"]
        assert (len(handles), len(armed()["proxy"])) == (3, 2)
        assert armed()["proxy"] < handles, "the proxy's are known to the program, too, which never sees its requests"
        assert len(Journal().live()) == 3
        assert hit == (set() if moment == "as soon as all are armed" else {"llm", "gateway"})
        runner.kill()
        killed_s = time.monotonic()
        await until(lambda: not any(armed().values()), 4)
        assert time.monotonic() - killed_s < 4
        assert service.state()["hooked"] == []
        async with httpx.AsyncClient() as client:
            for _ in range(5):
                start = time.monotonic()
                assert (await client.post(service.url, json={"question": "?"}, timeout=10)).status_code == 200
                assert time.monotonic() - start < 2
        recovering = await refute("recover", "--json", cwd=tmp_path)
        told, _ = await recovering.communicate()
        assert recovering.returncode == 0, told
        ended = {one["handle"]: one["ending"] for one in json.loads(told)["handles"]}
        assert ended == dict.fromkeys(handles, "recovered")
        assert Journal().live() == []
        assert service.process.poll() is None
        assert proxy.process.poll() is None
