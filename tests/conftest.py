"""Fixtures for all tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def provider_server():
    from servers.provider import Provider

    server = Provider()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def provider(provider_server):
    provider_server.requests.clear()
    provider_server.unfinished = 0
    return provider_server
