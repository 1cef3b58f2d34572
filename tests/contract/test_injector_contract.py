"""The built-in injectors pass the contract that plug-ins inherit, and the contract catches injectors that break it."""

from __future__ import annotations

import sys
import types

import httpx2
import pytest

from refute.core.arming import Arming, Landing
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.callables import CallablesInjector
from refute.injectors.http import INJECTOR as HTTP
from refute.testing import InjectorContract


class TestHttp(InjectorContract):
    injector = HTTP

    @pytest.fixture(autouse=True)
    def _at(self, provider):
        self.url = f"{provider.url}/v1/chat/completions"
        self.arming = Arming(Component("llm", "llm", endpoint=provider.url), "llm.rate_limit")

    def call(self):
        return httpx2.post(self.url, json={"model": "text", "messages": []}).status_code


class TestCallables(InjectorContract):
    injector = CallablesInjector()
    arming = Arming(Component("tool", "tool", python="contract_app:look"), "tool.error")

    @pytest.fixture(autouse=True)
    def _app(self):
        module = types.ModuleType("contract_app")
        exec("def look():\n    return 'found'", vars(module))
        sys.modules["contract_app"] = module
        yield
        del sys.modules["contract_app"]

    def call(self):
        return sys.modules["contract_app"].look()


class Broken(CallablesInjector):
    """Breaks one part of the contract at a time."""

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self.part = part

    def refuses(self, arming):
        return "" if self.part == "refuses" else super().refuses(arming)

    def landed(self, handle):
        return Landing() if self.part == "landed" else super().landed(handle)

    def apply(self, handle, lease):
        if self.part != "apply":
            super().apply(handle, Lease(20) if self.part == "lease" else lease)

    def rollback(self, handle):
        if self.part != "rollback":
            super().rollback(handle)


@pytest.mark.parametrize(
    ("part", "caught_by"),
    [
        ("refuses", "test_it_refuses_with_a_reason"),
        ("refuses", "test_it_refuses_magnitudes_out_of_range"),
        ("landed", "test_treatment_is_hit_and_counted"),
        ("apply", "test_treatment_is_hit_and_counted"),
        ("lease", "test_it_ends_with_its_lease"),
        ("rollback", "test_rollback_removes_it_and_can_be_repeated"),
    ],
)
def test_the_contract_catches_what_breaks_it(part, caught_by):
    module = types.ModuleType("contract_app")
    exec("def look():\n    return 'found'", vars(module))
    sys.modules["contract_app"] = module
    suite = TestCallables()
    suite.injector = Broken(part)
    try:
        with pytest.raises(AssertionError):
            getattr(suite, caught_by)()
    finally:
        suite.injector.part = ""
        for handle_id in list(suite.injector._armed):
            suite.injector.rollback(types.SimpleNamespace(id=handle_id))
        del sys.modules["contract_app"]
