"""Faults that answer from memory, over HTTP and MCP: with what was really answered before, to somebody else or at another time."""

from __future__ import annotations

import asyncio
import itertools

import aiohttp
import httpx
import pytest
import requests
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from refute.core.arming import Arming
from refute.core.system import Component
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.faults.catalogue import catalogue
from refute.injectors.proxy.hands import INJECTOR
from servers import stdio_session
from servers.calling import armed, unit
from servers.clients import mcp_session
from servers.mcp_server import Mcp
from servers.provider import Served
from servers.proxying import proxy_process

ANOTHER = {"tool.wrong_entity": "tool", "cache.crossed_key": "cache", "memory.crossed": "service"}
FIRST = {"tool.stale": "tool", "cache.stale": "cache", "feature.stale": "feature_store", "retriever.stale": "retriever"}


class Store(Served):
    """Answers who was asked about, by whom, and how often anybody has asked."""

    def __init__(self) -> None:
        count = itertools.count(1)

        async def answer(request):
            return JSONResponse(
                {"entity": request.path_params["entity"], "for": request.headers.get("authorization", ""), "version": next(count)}
            )

        super().__init__(Starlette(routes=[Route("/orders/{entity}", answer, methods=["GET", "POST"])]))


@pytest.fixture(scope="module")
def store():
    server = Store()
    server.start()
    yield server
    server.stop()


def get(store, entity, arm="treatment", **headers):
    with unit(arm, key=f"case/{entity}"):
        return httpx.get(f"{store.url}/orders/{entity}", headers=headers).json()


@pytest.mark.parametrize("fault", ANOTHER)
def test_an_answer_about_somebody_else_is_one_that_was_really_given(store, fault):
    component = Component("orders", ANOTHER[fault], endpoint=f"{store.url}/orders")
    with armed(store.url, fault, component=component) as landing:
        first = get(store, "A", "control")
        assert first["entity"] == "A", "nothing was known, and control is spared"
        crossed = get(store, "B")
        assert crossed == first
        assert get(store, "C", "control")["entity"] == "C"
        assert get(store, "D")["entity"] in {"A", "B", "C"}
        assert (landing().eligible, landing().injected, landing().control_injected) == (2, 2, 0)


def test_another_users_answer_to_the_same_question_is_another_answer(store):
    component = Component("orders", "service", endpoint=f"{store.url}/orders")
    with armed(store.url, "memory.crossed", component=component):
        mine = get(store, "A", authorization="me")
        assert mine["for"] == "me"
        assert get(store, "A", authorization="you") == mine


@pytest.mark.parametrize("fault", FIRST)
def test_an_old_answer_is_the_first_to_the_very_same_request(store, fault):
    component = Component("orders", FIRST[fault], endpoint=f"{store.url}/orders")
    with armed(store.url, fault, component=component) as landing:
        first = get(store, "A")
        assert get(store, "B")["entity"] == "B"
        assert get(store, "A") == first
        assert (landing().eligible, landing().injected) == (1, 1)
    assert get(store, "A")["version"] > first["version"], "it is gone with its lease"


def test_what_was_answered_is_forgotten_with_the_fault(store):
    component = Component("orders", "tool", endpoint=f"{store.url}/orders")
    for _ in range(2):
        with armed(store.url, "tool.wrong_entity", component=component):
            assert get(store, "A")["entity"] == "A", "nothing is known from the time before"
            get(store, "B")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_over_mcp_answers_about_somebody_else(stream):
    server = Mcp(stream=stream)
    server.start()
    try:
        async with mcp_session(server.url, hurry=False) as session:
            component = Component("orders", "mcp_server", endpoint=server.url)
            with armed(server.url, "tool.wrong_entity", component=component) as landing, unit():
                told = [(await session.call_tool("lookup_order", {"order_id": one})).structured_content["order_id"] for one in ("A", "B")]
                await session.list_tools()
    finally:
        server.stop()
    assert told == ["A", "A"]
    assert (landing().eligible, landing().injected) == (1, 1)


async def test_over_any_client_library(store):
    component = Component("orders", "tool", endpoint=f"{store.url}/orders")
    with armed(store.url, "tool.wrong_entity", component=component) as landing, unit():
        told = [await asyncio.to_thread(lambda one=one: requests.get(f"{store.url}/orders/{one}", timeout=10).json()) for one in "AB"]
        async with aiohttp.ClientSession() as session, session.get(f"{store.url}/orders/C") as reply:
            told.append(await reply.json())
    assert [one["entity"] for one in told][:2] == ["A", "A"]
    assert told[2] in told[:2] or told[2]["entity"] == "B"
    assert (landing().eligible, landing().injected) == (2, 2)


async def test_through_a_proxy(store, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with proxy_process(store.url) as proxy:
        component = Component("orders", "tool", endpoint=proxy.url, via="proxy")
        handle = INJECTOR.prepare(Arming(component, "tool.wrong_entity", cohort=1.0))
        async with Link(lambda *_: None) as link, httpx.AsyncClient() as client:
            await invite_proxies(link, [component])
            link.arm_joining([handle], 10.0)
            await link.arm_live()
            told = [(await client.get(f"{proxy.url}/orders/{entity}")).json()["entity"] for entity in ("A", "B")]
            assert await link.disarm()
            assert (await client.get(f"{proxy.url}/orders/B")).json()["entity"] == "B"
        assert (told, link.landed(handle).injected) == (["A", "A"], 1)


async def test_a_tool_over_stdio_answers_about_somebody_else():
    held = stdio_session.StdioSession()
    session = await held.start()
    async with held.armed("tool.wrong_entity", None, 0) as landing:
        told = [(await session.call_tool("lookup_order", {"order_id": one})).structured_content["order_id"] for one in ("A", "B")]
    await held.stop()
    assert told == ["A", "A"]
    assert (landing().eligible, landing().injected) == (1, 1)


def test_these_are_all_that_answer_from_memory():
    assert {name for name, fault in catalogue().items() if fault.awaits is not None and fault.awaits.data is not None} == {*ANOTHER, *FIRST}
