"""What is armed for a request, and that it is remembered rightly."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import httpx2
import pytest

from refute.core.system import Component
from refute.injectors import routes as module
from refute.injectors.routes import Routes
from refute.injectors.target import Target
from refute.injectors.transports.over_httpx import url_of

LIBRARIES = [httpx, httpx2]


@dataclass(frozen=True)
class Armed:
    name: str
    target: Target


LLM = Armed("llm", Target(Component("llm", "llm")))
ORDERS = Armed("orders", Target(Component("orders", "service", endpoint="http://shop:81/orders")))


def find(routes, library, method, url, **options):
    request = library.Request(method, url, **options)
    return [armed.name for armed in routes.find(request, url_of(library)(request))]


@pytest.mark.parametrize("library", LIBRARIES)
def test_places_do_not_mix(library):
    routes = Routes((LLM, ORDERS))
    for _ in range(2):
        assert find(routes, library, "POST", "https://api.openai.com/v1/chat/completions?a=1") == ["llm"]
        assert find(routes, library, "GET", "https://api.openai.com/v1/chat/completions") == []
        assert find(routes, library, "POST", "http://shop:81/orders/v1/chat/completions") == ["llm", "orders"]
        assert find(routes, library, "GET", "http://shop:81/orders/7?x=y") == ["orders"]
        assert find(routes, library, "GET", "http://shop:82/orders/7") == []
        assert find(routes, library, "GET", "http://ship:81/orders/7") == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_last_place_is_told_by_url_and_method(library):
    routes = Routes((LLM,))
    assert find(routes, library, "POST", "http://x/v1/chat/completions") == ["llm"]
    url, method, found = routes.last
    assert (method, found) == ("POST", (LLM,))
    where = url_of(library)
    assert where(library.Request("POST", "http://x/v1/chat/completions")) == url
    for other in (
        "http://x/v1/chat/completions?y",
        "http://x:81/v1/chat/completions",
        "https://x/v1/chat/completions",
        "http://y/v1/chat/completions",
    ):
        assert where(library.Request("POST", other)) != url


def test_what_depends_on_headers_is_asked_each_time():
    routes = Routes((LLM,))
    for version, found in (("2023-06-01", ["llm"]), ("", []), ("2023-06-01", ["llm"])):
        assert find(routes, httpx, "POST", "http://x/messages", headers={"anthropic-version": version}) == found


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 10)
    routes = Routes((ORDERS,))
    for number in range(100):
        assert find(routes, httpx, "GET", f"http://shop:81/orders/{number}") == ["orders"]
    assert len(routes._found) <= 10


def test_a_library_that_keeps_no_parts_is_compared_by_its_urls():
    library = SimpleNamespace(URL=str)
    assert url_of(library)(SimpleNamespace(url="http://x/")) == "http://x/"
