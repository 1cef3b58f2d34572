"""Which requests reach a component."""

from __future__ import annotations

import pytest

from refute.core.system import Component
from refute.injectors.target import Target


@pytest.mark.parametrize(
    ("endpoint", "url", "hit"),
    [
        ("http://127.0.0.1:81/v1", ("http", "127.0.0.1", 81, "/v1/x"), True),
        ("http://localhost:81/v1", ("http", "127.0.0.1", 81, "/v1"), True),
        ("http://127.0.0.1:81/v1", ("http", "127.0.0.1", 81, "/v12/x"), False),
        ("http://127.0.0.1:81/v1", ("http", "127.0.0.1", 82, "/v1/x"), False),
        ("http://127.0.0.1:81/v1", ("https", "127.0.0.1", 81, "/v1/x"), False),
        ("https://api.example.com", ("https", "api.example.com", None, "/anything"), True),
        ("https://api.example.com:443/", ("https", "api.example.com", None, "/anything"), True),
        ("https://api.example.com", ("https", "example.com", None, "/"), False),
        ("", ("https", "anywhere.example", None, "/"), True),
    ],
)
def test_endpoint(endpoint, url, hit):
    assert Target(Component("x", "service", endpoint=endpoint)).at(*url) is hit


@pytest.mark.parametrize(
    ("kind", "endpoint", "method", "path", "hit"),
    [
        ("llm", "", "POST", "/v1/chat/completions", True),
        ("llm", "", "POST", "/v1/embeddings", False),
        ("llm", "", "POST", "/orders", False),
        ("llm", "http://x", "POST", "/generate", True),
        ("llm", "http://x", "GET", "/v1/models", False),
        ("embedder", "http://x", "POST", "/v1/embeddings", True),
        ("embedder", "http://x", "POST", "/v1/chat/completions", False),
        ("service", "http://x", "GET", "/orders", True),
        ("service", "", "GET", "/orders", False),
    ],
)
def test_calls(kind, endpoint, method, path, hit):
    assert Target(Component("x", kind, endpoint=endpoint)).speaks(method, path, lambda name: "") is hit
