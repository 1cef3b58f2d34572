"""`refute exec`: programs that know nothing of Refute, under real runs: found, armed and let go, whatever becomes of either end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

import pytest

from refute.campaign import Campaign
from refute.cli.exec_ import _default
from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.errors import RefuteError
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component
from refute.experiment.doors import invite_programs, keep_inviting
from refute.experiment.link import Link
from refute.injectors.door import signs
from refute.injectors.http import INJECTOR
from refute.intent import load
from refute.ledger import Ledger
from refute.safety.journal import Journal
from refute.safety.state import doors_directory
from servers.executing import Service, exec_process

KINDS = ("uvicorn", "http.server", "aiohttp")
OLD = Path.home() / ".pyenv/versions/3.9.18/bin/python"
TTL_S = 25.0


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def component(provider, name="plain"):
    return Component("llm", "llm", endpoint=f"{provider.url}/v1", via=f"exec {name}")


def prepared(provider, fault="llm.rate_limit", **fields):
    return INJECTOR.prepare(Arming(component(provider), fault, **fields))


async def ask(service, link=None, arm="treatment", key="case/0", timeout_s=20.0):
    """Return the status that a user of the service sees."""

    def post():
        request = urllib.request.Request(service.url, json.dumps({"key": key}).encode(), {"content-type": "application/json"})
        if link is not None:
            request.add_header("baggage", Seal(link.environment[TOKEN_VARIABLE]).baggage(key, arm))
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    return await asyncio.to_thread(post)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_arms_and_disarms_it_and_nothing_is_left(provider, kind):
    with exec_process(kind, provider.url) as service:
        idle = service.state()
        assert (idle["hooked"], idle["finders"]) == ([], [])
        assert not [name for name in idle["imported"] if "transports" in name or "faults" in name]
        for _ in range(2):
            async with Link(lambda *_: None) as link:
                await invite_programs(link, [component(provider)])
                assert await ask(service, link) == 200
                handle = prepared(provider)
                link.arm_joining([handle], TTL_S)
                await link.arm_live()
                assert [await ask(service, link), await ask(service, link, "control"), await ask(service)] == [502, 200, 200]
                await link.renew_live(TTL_S)
                assert await link.disarm()
                landing = link.landed(handle)
                assert (landing.eligible, landing.injected, landing.control_eligible, landing.unattributed) == (1, 1, 1, 1)
                assert await ask(service, link) == 200
            await asyncio.sleep(0.3)
            after = service.state()
            assert (after["hooked"], after["finders"]) == ([], [])


async def test_while_it_is_joined_cohorts_are_kept_from_models_and_nothing_is_left(provider):
    with exec_process("uvicorn", provider.url) as service:
        async with Link(lambda *_: None, providers=[component(provider)]) as link:
            await invite_programs(link, [component(provider)])
            for _ in range(50):
                if service.state()["hooked"]:
                    break
                await asyncio.sleep(0.1)
            assert service.state()["hooked"]
        await asyncio.sleep(0.3)
        after = service.state()
        assert (after["hooked"], after["finders"]) == ([], [])


async def test_an_expired_lease_ends_what_is_armed(provider):
    with exec_process("uvicorn", provider.url) as service:
        async with Link(lambda *_: None) as link:
            await invite_programs(link, [component(provider)])
            link.arm_joining([prepared(provider)], 1.0)
            await link.arm_live()
            assert await ask(service, link, key="a") == 502
            await asyncio.sleep(1.1)
            assert await ask(service, link, key="b") == 200


RUNNER = """
import asyncio, json, sys
from refute.core.arming import Arming
from refute.core.system import Component
from refute.experiment.doors import invite_programs
from refute.experiment.link import Link
from refute.injectors.http import INJECTOR

async def main():
    component = Component("llm", "llm", endpoint=sys.argv[1] + "/v1", via="exec plain")
    async with Link(lambda *_: None) as link:
        await invite_programs(link, [component])
        link.arm_joining([INJECTOR.prepare(Arming(component, "llm.delay", magnitude=30.0))], 30.0)
        await link.arm_live()
        print(json.dumps(link.environment), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_kill_9_of_the_runner_lets_everything_go_at_once(provider, kind):
    """The lease would last 30 s."""
    with exec_process(kind, provider.url) as service:
        runner = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, provider.url, stdout=asyncio.subprocess.PIPE)
        environment = json.loads(await runner.stdout.readline())
        link = type("Dead", (), {"environment": environment})
        held = asyncio.create_task(ask(service, link))
        await asyncio.sleep(1.0)
        assert not held.done()
        runner.kill()
        began = time.monotonic()
        assert await held == 200
        assert time.monotonic() - began < 2
        await runner.wait()
        await asyncio.sleep(0.3)
        assert service.state()["hooked"] == []
        async with Link(lambda *_: None) as link:  # and it is free for the next run
            await invite_programs(link, [component(provider)])


async def test_kill_9_of_the_service_is_a_proof_that_the_fault_is_gone(provider):
    with exec_process("http.server", provider.url) as service:
        async with Link(lambda *_: None) as link:
            await invite_programs(link, [component(provider)])
            link.arm_joining([prepared(provider)], TTL_S)
            await link.arm_live()
            assert await ask(service, link) == 502
            service.process.kill()
            service.process.wait()
            proof = await link.disarm()
            assert proof.proven
            assert "is gone" in proof.how


async def test_every_worker_process_is_armed_and_one_that_replaces_another_too(provider):
    with exec_process("uvicorn", provider.url, WORKERS="2") as service:
        workers = service.states(2)
        assert len(workers) == 2
        async with Link(lambda *_: None) as link:
            components = [component(provider)]
            await invite_programs(link, components)
            looking = asyncio.create_task(keep_inviting(link, components, 0.1))
            assert workers.keys() <= {peer.pid for peer in link.live()}
            link.arm_joining([prepared(provider)], TTL_S)
            await link.arm_live()
            assert {await ask(service, link, key=f"case/{number}") for number in range(12)} == {502}
            killed = next(iter(workers))
            os.kill(killed, signal.SIGKILL)
            until = time.monotonic() + 20
            while not service.states(2).keys() <= {peer.pid for peer in link.live() if math.isfinite(peer.lease_end_s)}:
                assert time.monotonic() < until, "the new worker does not join"
                await link.renew_live(TTL_S)
                await asyncio.sleep(0.1)
            assert killed not in service.states(2)
            assert {await ask(service, link, key=f"new/{number}") for number in range(12)} == {502}
            looking.cancel()
            assert await link.disarm()
            assert {await ask(service, link, key=f"after/{number}") for number in range(6)} == {200}


async def test_what_forks_before_the_run_has_a_door_of_its_own(provider):
    with exec_process("http.server", provider.url, FORKS="1") as service:
        both = service.states(2)
        assert len(both) == 2
        async with Link(lambda *_: None) as link:
            await invite_programs(link, [component(provider)])
            assert {peer.pid for peer in link.live()} == both.keys()
            link.arm_joining([prepared(provider)], TTL_S)
            await link.arm_live()
            assert {await ask(service, link, key=f"case/{number}") for number in range(10)} == {502}
            assert await link.disarm()


FORKING = """
import os, sys, time, httpx2
from refute.core.context import UnitContext, current_unit
current_unit.set(UnitContext("case/0", "treatment"))
sys.stdin.readline()
child = os.fork()
reply = httpx2.post(sys.argv[1] + "/v1/chat/completions", json={"model": "text", "messages": [], "pid": os.getpid()})
os.write(1, b"%d\\n" % reply.status_code)
if child:
    os.waitpid(child, 0)
    sys.stdin.readline()
"""


async def test_what_forks_during_the_run_is_armed_before_its_first_line(provider):
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "refute", "exec", "--name", "plain", "--", sys.executable, "-c", FORKING, provider.url]
    program = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    async with Link(lambda *_: None) as link:
        until = time.monotonic() + 20
        while not list(signs(doors_directory())):
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        await invite_programs(link, [component(provider)])
        link.arm_joining([prepared(provider)], TTL_S)
        await link.arm_live()
        program.stdin.write(b"go\n")
        assert [await program.stdout.readline() for _ in range(2)] == [b"429\n", b"429\n"]
        assert len(link.peers) == 2
        assert await link.disarm()
        program.stdin.write(b"end\n")
        assert await program.wait() == 0


async def test_one_run_at_a_time_and_only_the_named_program(provider):
    with exec_process("http.server", provider.url), exec_process("http.server", provider.url, name="other") as other:
        async with Link(lambda *_: None) as first, Link(lambda *_: None) as second:
            await invite_programs(first, [component(provider), component(provider, "other")])
            with pytest.raises(RefuteError, match="it serves another run"):
                await invite_programs(second, [component(provider)])
            handle = prepared(provider)
            first.arm_joining([handle], TTL_S)
            await first.arm_live()
            assert await ask(other, first) == 200
            assert await first.disarm()
            assert first.landed(handle).eligible == 0


async def test_without_the_program_nothing_begins(provider):
    async with Link(lambda *_: None) as link:
        with pytest.raises(RefuteError) as refused:
            await invite_programs(link, [component(provider)])
    (problem,) = refused.value.problems
    assert (problem.code, problem.next) == ("EXEC-NONE", "refute exec --name plain -- COMMAND")


# The command itself


def run(*command, **options):
    return subprocess.run([sys.executable, "-m", "refute", "exec", *command], capture_output=True, timeout=30, check=False, **options)


def test_streams_exit_code_and_signals_are_the_programs_own():
    echo = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.write('told'); sys.exit(7)"
    done = run("--", sys.executable, "-c", echo, input=b"\x00\xff\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\x00\xff\n", b"told")
    pipes = "import signal, subprocess; print(subprocess.run(['sh', '-c', 'kill -PIPE $$']).returncode)"
    assert run("--", "sh", "-c", "kill -PIPE $$; echo survived").returncode == -signal.SIGPIPE
    assert run("--", sys.executable, "-c", pipes).stdout == b"-13\n"
    waiting = subprocess.Popen(
        [sys.executable, "-m", "refute", "exec", "--", sys.executable, "-c", "print(1, flush=True); import time; time.sleep(60)"], stdout=-1
    )
    assert waiting.stdout.readline() == b"1\n"
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(10) == -signal.SIGTERM


def test_bad_input_starts_nothing():
    for arguments, code in ((("--", "nonesuch"), b"PROGRAM-START"), (("--name", "a b", "--", "true"), b"EXEC-NAME"), ((), b"Usage")):
        done = run(*arguments)
        assert done.returncode == 2
        assert code in done.stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("uvicorn", "shop:app"), "uvicorn"), (("python3", "shop.py", "x.py"), "shop"), (("python", "-m", "shop.web"), "shop-web"),
        (("/usr/bin/python3.12", "-c", "print(1)"), "python3-12"), (("/srv/bin/work.sh",), "work-sh"),
    ],
)  # fmt: skip
def test_a_program_is_named_after_what_is_run(command, name):
    assert _default(command) == name


def test_a_door_is_closed_when_the_program_ends_and_cleared_when_it_was_killed():
    assert run("--", sys.executable, "-c", "pass").returncode == 0
    assert list(signs(doors_directory())) == []
    assert run("--", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)").returncode == -9
    assert len(list(signs(doors_directory()))) == 1
    assert run("--", sys.executable, "-c", "pass").returncode == 0
    assert list(signs(doors_directory())) == []


ALIEN = """
import sys
sys.path[:] = [entry for entry in sys.path if "refute" not in entry]
import http.client
print([name for name in sys.modules if name.startswith("refute.injectors")][-1], "yaml" in sys.modules, flush=True)
sys.stdin.readline()
"""


async def test_a_python_whose_environment_has_no_refute_is_armed_all_the_same(tmp_path):
    """A bare environment, into which nothing is installed."""
    venv.create(tmp_path / "bare")
    python, pipe = str(tmp_path / "bare/bin/python"), asyncio.subprocess.PIPE
    without = await asyncio.create_subprocess_exec(python, "-c", "import refute", stderr=asyncio.subprocess.DEVNULL)
    assert await without.wait() == 1
    command = [sys.executable, "-m", "refute", "exec", "--name", "plain", "--", python, "-c", ALIEN]
    program = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert (await program.stdout.readline()).split() == [b"refute.injectors.boot.stand", b"False"]
    async with Link(lambda *_: None) as link:
        handle = INJECTOR.prepare(Arming(Component("llm", "llm", via="exec plain"), "llm.rate_limit"))
        await invite_programs(link, [Component("llm", "llm", via="exec plain")])
        link.arm_joining([handle], TTL_S)
        await link.arm_live()
        assert [(peer.armed, peer.refused) for peer in link.live()] == [(True, "")]
        assert await link.disarm()
    program.stdin.write(b"end\n")
    assert await program.wait() == 0


@pytest.mark.skipif(not OLD.exists(), reason="needs a Python that is older than 3.11")
def test_a_python_that_is_too_old_is_told_and_runs():
    done = run("--", str(OLD), "-c", "print('runs')")
    assert (done.returncode, done.stdout) == (0, b"runs\n")
    assert b"Python 3.9.18 is older than 3.11" in done.stderr


# Whole runs

PAGE = (Path(__file__).parents[2] / "docs/how-to/arm-a-program-as-it-is.md").read_text()
FILES = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


def written(folder, provider, service, fault="llm.rate_limit", name="plain"):
    """Write the page's intent, about another service than its own."""
    folder.mkdir(exist_ok=True)
    changes = {"llm.rate_limit": fault, "http://127.0.0.1:8081": provider.url, "http://127.0.0.1:8000/ask": service.url}
    text = FILES["refute.yaml"].replace("exec ask-service", f"exec {name}")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "refute.yaml").write_text(text)
    (folder / "checks.py").write_text(FILES["checks.py"])
    (folder / "cases.jsonl").write_text("".join(json.dumps({"id": f"case-{number}", "question": "?"}) + "\n" for number in range(20)))
    return folder / "refute.yaml"


async def campaign(path, hear=lambda _: None):
    events = []

    def heard(event):
        events.append(event)
        hear(event)

    with Ledger.open(path.parent / ".refute" / "ledger.db") as ledger:
        ran = Campaign(load(path), ledger, Journal(), heard)
        code = await ran.run_many(["absorbed"], 1)
        assert ran.results, [event.data for event in events if event.kind in {"plan", "problem"}]
        return ran.results[0], code, events


@pytest.mark.parametrize(("kind", "fault", "word"), [("uvicorn", "llm.rate_limit", "refuted"), ("http.server", "llm.delay", "held")])
async def test_a_belief_about_a_service_that_knows_nothing(provider, tmp_path, kind, fault, word):
    with exec_process(kind, provider.url) as service:
        path = written(tmp_path / "project", provider, service, fault)
        if fault == "llm.delay":
            path.write_text(path.read_text().replace("{fault: llm.delay", "{fault: llm.delay, magnitude: 50 ms"))
        result, code, _ = await campaign(path)
        verdict, landing = result.verdicts["absorbed"], result.landing
        assert (verdict.word, code) == (word, {"refuted": 1, "held": 0}[word]), verdict
        assert landing.injected <= landing.eligible <= landing.injected + landing.cut
        assert landing.injected > 10
        assert landing.control_injected == landing.unattributed == 0 < landing.control_eligible
        assert result.rolled_back
        await asyncio.sleep(0.3)
        assert service.state()["hooked"] == []
        assert service.process.poll() is None, "it outlives the run"


@contextlib.contextmanager
def pages_service(folder, provider):
    """Start the page's service by the page's command."""
    command = re.search(r"^refute (exec .*)$", PAGE, re.MULTILINE)[1].split()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    here = {"8000": str(port), "python": sys.executable}
    (folder / "service.py").write_text(FILES["service.py"].replace("http://127.0.0.1:8081", provider.url))
    with subprocess.Popen([sys.executable, "-m", "refute", *(here.get(word, word) for word in command)], cwd=folder) as process:
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.05)
            yield Service(f"http://127.0.0.1:{port}/ask", process)
        finally:
            process.kill()


async def test_the_page_as_a_reader_would_do_it(provider, tmp_path):
    with pages_service(tmp_path, provider) as service:
        result, code, _ = await campaign(written(tmp_path, provider, service, name="ask-service"))
    assert (result.verdicts["absorbed"].word, code) == ("refuted", 1), result.verdicts
    assert result.landing.injected > 5


async def test_a_service_that_dies_under_the_fault_voids_the_run_with_a_proven_rollback(provider, tmp_path):
    with exec_process("http.server", provider.url) as service:
        path = written(tmp_path / "project", provider, service)

        def hear(event):
            if event.kind == "outcomes" and event.data["phase"] == "inject":
                service.process.kill()

        result, code, _ = await campaign(path, hear)
        assert result.rolled_back
        assert result.verdicts["absorbed"].word in {"void", "inconclusive"}, result.verdicts
        assert code == 3


async def test_kill_9_of_a_whole_run_leaves_nothing_armed(provider, tmp_path):
    with exec_process("uvicorn", provider.url) as service:
        path = written(tmp_path / "project", provider, service)
        path.write_text(path.read_text().replace("units: 300", "units: 3000").replace("answered >= 90%", "answered >= 49%"))
        pipe = asyncio.subprocess.PIPE
        runner = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "refute", "run", "--json", cwd=path.parent, stdout=pipe, stderr=pipe, limit=2**24
        )
        until = time.monotonic() + 60
        while line := await runner.stdout.readline():
            if json.loads(line).get("event") == "armed" or b'"phase": "inject"' in line:
                break
            assert time.monotonic() < until
        while not service.state()["hooked"]:
            assert time.monotonic() < until
        runner.kill()
        await asyncio.sleep(3.5)
        assert service.state()["hooked"] == []
        assert await ask(service) == 200
        doctor = [sys.executable, "-m", "refute", "recover", "--json"]
        done = await asyncio.create_subprocess_exec(*doctor, cwd=path.parent, stdout=pipe)
        told, _ = await done.communicate()
        assert done.returncode == 0, told
