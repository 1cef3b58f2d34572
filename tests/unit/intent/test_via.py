"""Components that are reached through a proxy, and those that are not HTTP."""

from dataclasses import replace

import pytest

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.intent import providers
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.injectors.registry import choose
from refute.intent import load
from support.intents import changed, project

LLM = '{kind: llm, endpoint: "http://127.0.0.1:8081/v1"}'


def read(folder, written, fault="llm.rate_limit"):
    text, _ = changed(LLM, written)
    whole = ", uncontrolled: true" if catalogue()[fault].whole else ", share: 30%"
    when = f"fault: {fault}, target: llm{whole}"
    text, _ = changed("fault: llm.rate_limit, target: llm, share: 30%", when, text)
    text, _ = changed("  - ask-about-order.answered worse by > 10 points\n", "", text)
    return load(project(folder, text), faults=catalogue())


def codes(folder, written, fault="llm.rate_limit"):
    with pytest.raises(RefuteError) as refused:
        read(folder, written, fault)
    return {problem.code for problem in refused.value.problems}


def test_a_component_behind_a_proxy_is_read(tmp_path):
    component = read(tmp_path, '{kind: llm, endpoint: "http://127.0.0.1:8900/v1", via: proxy}').system.components["llm"]
    assert component.via == "proxy"
    assert Component.from_json(component.to_json()) == component


def test_one_behind_nothing_says_nothing_of_it(tmp_path):
    component = read(tmp_path, LLM).system.components["llm"]
    assert component.via == ""
    assert "via" not in component.to_json()


def test_a_datastore_behind_a_proxy_is_read(tmp_path):
    written = '{kind: datastore, endpoint: "tcp://127.0.0.1:5433", via: proxy}'
    assert read(tmp_path, written, "datastore.drop").system.components["llm"].endpoint == "tcp://127.0.0.1:5433"


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "tcp://a:1/x", "tcp://u@a:1", "tcp:a:1"]
)
def test_a_tcp_address_is_host_and_port(tmp_path, endpoint):
    assert "VALUE-URL" in codes(tmp_path, f'{{kind: datastore, endpoint: "{endpoint}", via: proxy}}', "datastore.drop")


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ('{kind: datastore, endpoint: "tcp://127.0.0.1:5433"}', "datastore.drop"),
        ('{kind: datastore, endpoint: "http://127.0.0.1:5433", via: proxy}', "datastore.drop"),
        ('{kind: datastore, endpoint: "tcp://127.0.0.1:5433", via: proxy}', "service.error"),
    ],
)
def test_a_fault_that_cannot_get_there_is_told_before_anything_runs(tmp_path, written, fault):
    assert codes(tmp_path, written, fault) == {"FAULT-SEAM"}


def test_via_names_what_there_is(tmp_path):
    assert codes(tmp_path, '{kind: llm, endpoint: "http://127.0.0.1:8081/v1", via: toxiproxy}')


def test_a_component_behind_a_proxy_is_struck_there_and_others_are_not():
    behind = Component("llm", "llm", endpoint="http://127.0.0.1:8900/v1", via="proxy")
    before = Component("llm", "llm", endpoint="http://127.0.0.1:8900/v1")
    assert choose(Arming(behind, "llm.rate_limit")).name == "proxy"
    assert choose(Arming(before, "llm.rate_limit")).name == "http"
    with pytest.raises(RefuteError, match="does not apply to a component of kind llm"):
        choose(Arming(behind, "service.error"))


def test_a_cohort_goes_on_to_a_proxy_and_to_no_model_that_is_called_directly(tmp_path):
    intent = load(project(tmp_path))
    llm = intent.system.components["llm"]
    gateway = replace(llm, name="gateway", via="proxy", endpoint="http://localhost:8081")

    def kept_from(*components):
        system = replace(intent.system, components={one.name: one for one in components})
        return [one.name for one in providers(replace(intent, system=system))]

    assert kept_from(llm) == ["llm"]
    assert kept_from(llm, gateway) == [], "the proxy stands where the model is called"
    assert kept_from(llm, replace(gateway, endpoint="http://127.0.0.1:9000")) == ["llm"]
