"""The how-to page's service under load, for real: its code and its intent are taken from the page, only the ports are changed."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from refute.campaign import Campaign
from refute.intent import load
from refute.ledger import Ledger
from refute.safety.journal import Journal

PAGE = (Path(__file__).parents[2] / "docs/how-to/test-an-http-service.md").read_text()
BLOCK = re.compile(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", re.DOTALL)
CASES = "".join(json.dumps({"id": f"case {number}, größer", "question": "When do you open?"}) + "\n" for number in range(20))

FORGING = """
import asyncio
from contextlib import asynccontextmanager

import httpx2

from serving_here import running as service

BAGGAGE = "tenant=a,refute-unit=x%2F1,refute-arm=treatment,refute-sig=" + "0" * 32


@asynccontextmanager
async def running():
    statuses = []
    async with service():
        forging = asyncio.create_task(forge(statuses))
        yield
        forging.cancel()
    assert statuses and set(statuses) == {200}, statuses


async def forge(statuses):
    async with httpx2.AsyncClient() as client:
        while True:
            response = await client.post("http://127.0.0.1:8000/ask", json={"question": "x"}, headers={"baggage": BAGGAGE})
            statuses.append(response.status_code)
            await asyncio.sleep(0.02)
"""
STREAMING = """
    async def pieces():
        yield b'{"text": "'
        completion = await client.chat.completions.create(model="text", messages=messages)
        yield completion.choices[0].message.content.encode() + b'", "tokens": 23}'

    return StreamingResponse(pieces())
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def project(tmp_path, monkeypatch, provider):
    """Write the page's files, with ports of our own; changes are made by file name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder, port = tmp_path / "project", free_port()
    folder.mkdir()

    def write(changes=(), **more):
        files = dict(BLOCK.findall(PAGE)) | {"cases.jsonl": CASES} | {f"{name}.py": text for name, text in more.items()}
        for name, old, new in changes:
            assert old in files[name]
            files[name] = files[name].replace(old, new)
        for name, text in files.items():
            there = text.replace("http://127.0.0.1:8081", provider.url)
            (folder / name).write_text(re.sub(r"\b8000\b", str(port), there))
        return folder / "refute.yaml"

    return write


async def run(path):
    """Run the one belief's experiment; return the result, its events and the exit code."""
    events = []
    with Ledger.open(path.parent / ".refute" / "ledger.db") as ledger:
        campaign = Campaign(load(path), ledger, Journal(), events.append)
        code = await campaign.run_many(["rate-limits-absorbed"], 1)
        assert len(campaign.results) == 1, [event.data for event in events if event.kind in {"plan", "problem"}]
        (result,) = campaign.results
    outcomes = [outcome for event in events if event.kind == "outcomes" for outcome in event.data["outcomes"]]
    return result, events, outcomes, code


def refuted_with_proof(result, events, outcomes, code, *, error="ServiceError"):
    """Check all that a refutation rests on."""
    verdict, landing = result.verdicts["rate-limits-absorbed"], result.landing
    assert (verdict.word, code) == ("refuted", 1), (verdict, [event.data for event in events if event.kind == "problem"])
    assert landing.injected == landing.eligible == landing.effect["status 429"] > 10
    assert landing.control_injected == 0 < landing.control_eligible
    assert result.rolled_back
    assert {event.data["phase"] for event in events if event.kind == "phase"} == {"check", "baseline", "inject", "recover"}
    hit = [outcome for outcome in outcomes if outcome["hits"]]
    assert {outcome["arm"] for outcome in hit} == {"treatment"}
    assert {(outcome["error"], outcome["values"]["answered"]) for outcome in hit} == {(error, 0.0)}
    assert sum(outcome["hits"]["llm"] for outcome in hit) == landing.injected
    assert sum(outcome["eligible"]["llm"] for outcome in hit) == landing.eligible
    assert not [outcome for outcome in outcomes if not outcome["hits"] and outcome["values"]["answered"] != 1.0]


async def test_a_service_in_a_process_of_its_own_is_refuted(project):
    result, *rest = await run(project())
    refuted_with_proof(result, *rest)
    assert result.landing.unattributed == 0


async def test_a_service_in_the_workers_process_is_refuted_and_forged_cohorts_count_for_nothing(project):
    result, *rest = await run(project([("refute.yaml", "serving:running", "forging:running")], forging=FORGING))
    refuted_with_proof(result, *rest)
    assert result.landing.unattributed > 0


async def test_what_breaks_a_response_that_has_begun_is_counted(project):
    whole = PAGE[PAGE.index("    completion = await") : PAGE.index("\n\napp = Starlette")]
    changes = [("service.py", whole, STREAMING), ("service.py", "JSONResponse", "StreamingResponse")]
    refuted_with_proof(*await run(project(changes)), error="ProtocolError")


async def test_without_the_middleware_the_run_is_void_and_says_what_to_add(project):
    result, _, outcomes, code = await run(project([("service.py", "app.add_middleware(CohortMiddleware)\n", "")]))
    verdict = result.verdicts["rate-limits-absorbed"]
    assert (verdict.word, code) == ("void", 3)
    assert re.search(r"\d+ calls to llm came from outside any unit \(add refute.integrations.asgi.CohortMiddleware", verdict.reasons[0])
    assert not any(outcome["eligible"] for outcome in outcomes)
