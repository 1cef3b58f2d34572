"""Components that run on other hosts."""

import pytest

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.system import Component, Place
from refute.faults.catalogue import catalogue
from refute.injectors.registry import struck_elsewhere
from refute.intent import load
from support.intents import changed, project

LLM = '{kind: llm, endpoint: "http://127.0.0.1:8081/v1"}'
FAR = '{kind: llm, endpoint: "http://10.0.0.2:8081/v1", host: gpu-1}'
HOSTS = '  hosts: {gpu-1: {guardian: "tls://10.0.0.2:7443"}}\n'


def read(folder, written, hosts=HOSTS, fault="network.delay"):
    text, _ = changed(LLM, written)
    when = f"fault: {fault}, target: llm" + (", uncontrolled: true" if catalogue()[fault].whole else ", share: 30%")
    text, _ = changed("fault: llm.rate_limit, target: llm, share: 30%", when, text)
    text, _ = changed("  - ask-about-order.answered worse by > 10 points\n", "", text)
    text, _ = changed("  components:\n", f"{hosts}  components:\n", text)
    return load(project(folder, text), faults=catalogue()).system.components["llm"]


def problems(folder, written, hosts=HOSTS):
    with pytest.raises(RefuteError) as refused:
        read(folder, written, hosts)
    return {problem.code: problem for problem in refused.value.problems}


def test_it_says_where_it_is_and_who_guards_it_there(tmp_path):
    component = read(tmp_path, FAR)
    assert (component.place.host, component.place.guardian, component.port) == ("gpu-1", "tls://10.0.0.2:7443", 8081)
    assert Component.from_json(component.to_json()) == component


def test_one_on_this_host_says_nothing_of_it(tmp_path):
    assert read(tmp_path, LLM).place == Place()
    assert read(tmp_path, '{kind: llm, endpoint: "http://10.0.0.2:8081/v1", python: "app.x:f"}', fault="llm.rate_limit").port == 0


def test_only_faults_of_a_whole_component_are_for_its_guardian(tmp_path):
    component = read(tmp_path, FAR)
    assert struck_elsewhere(Arming(component, "network.delay"))
    assert struck_elsewhere(Arming(component, "process.pause"))
    assert not struck_elsewhere(Arming(component, "llm.rate_limit")), "the caller's calls are broken where they are made"
    assert not struck_elsewhere(Arming(Component("llm", "llm", place=Place(port=8081)), "network.delay"))


@pytest.mark.parametrize("hosts", [HOSTS, ""])
def test_a_host_that_nobody_states_is_never_taken_for_this_one(tmp_path, hosts):
    problem = problems(tmp_path, FAR.replace("gpu-1", "gpu-2"), hosts)["HOST-UNKNOWN"]
    assert problem.seen == "gpu-2"
    assert problem.suggestion == ("gpu-1" if hosts else "")


@pytest.mark.parametrize("written", ["process: {pidfile: llm.pid}", "directory: data"])
def test_a_path_there_is_not_relative_to_a_file_here(tmp_path, written):
    assert "HOST-PATH" in problems(tmp_path, FAR.replace("}", f", {written}}}"))


def test_a_path_from_the_root_is_left_as_it_is(tmp_path):
    written = FAR.replace("}", ", process: {pidfile: /run/llm.pid}, directory: /srv/data}")
    place = read(tmp_path, written, fault="process.pause").place
    assert (place.pidfile, place.directory) == ("/run/llm.pid", "/srv/data")


@pytest.mark.parametrize(
    "url", ["https://10.0.0.2:7443", "tls://10.0.0.2", "tls://10.0.0.2:0", "tls://u@h:1", "tls://h:1/x", "10.0.0.2:7443"]
)
def test_a_guardians_address_is_tls_host_and_port(tmp_path, url):
    assert "VALUE-GUARDIAN" in problems(tmp_path, FAR, HOSTS.replace("tls://10.0.0.2:7443", url))
