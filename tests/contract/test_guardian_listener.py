"""Who gets in to a guardian that listens, and what it lets them do: real TLS on loopback, a real process that is paused."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from refute.core.arming import Arming, Handle
from refute.core.errors import RefuteError
from refute.core.system import Component, Place
from refute.safety import _caller, doctor
from refute.safety._lines import Lines
from refute.safety._post import Post
from refute.safety.far import ask_there
from refute.safety.far_guard import FarGuard, noted
from refute.safety.identity import Identity
from refute.safety.journal import Journal
from refute.safety.recover import recover
from support.hosts import certify, until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="guardians need Linux")


@dataclass
class There:
    """A listening guardian, and a process beside it."""

    authority: trustme.CA
    home: Path
    process: subprocess.Popen
    url: str
    victim: subprocess.Popen

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def journal(self) -> Journal:
        return Journal(self.home / "state" / "refute" / "journal")

    def said(self) -> str:
        return (self.home / "log").read_text()

    def paused(self) -> bool:
        return Path(f"/proc/{self.victim.pid}/stat").read_text().split()[2] == "T"

    def arming(self, **place) -> dict:
        where = Place(**({"pidfile": str(self.home / "pid")} | place))
        return Arming(Component("target", "service", place=where), "process.pause").to_json()

    def connected(self) -> Lines:
        connection = Identity().client().wrap_socket(socket.create_connection(("127.0.0.1", self.port), 3), server_hostname="127.0.0.1")
        return Lines(connection)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def there(authority, tmp_path_factory):
    home = tmp_path_factory.mktemp("there")
    certify(authority, home / "tls", "branch-1", "127.0.0.1")
    environ = os.environ | {"XDG_STATE_HOME": str(home / "state"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "refute", "guardian", "--listen", "127.0.0.1:0", "--admit", "runner", "--tls", str(home / "tls")]
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (home / "pid").write_text(str(victim.pid))
    with (home / "log").open("w") as log:
        process = subprocess.Popen([*command, "--json"], env=environ, stdout=log, stderr=log)
    try:
        until(lambda: (home / "log").read_text().count("\n"), 10)
        yield There(authority, home, process, json.loads((home / "log").read_text().splitlines()[0])["guardian"], victim)
    finally:
        process.terminate()
        assert process.wait(10) == 0
        victim.kill()
        victim.wait()
        post = Post(home / "state" / "refute" / "guardian")
        if (holder := post.holder()) is not None:
            os.kill(holder.pid, signal.SIGTERM)


@pytest.fixture
def runner(there, tmp_path, monkeypatch):
    """Be a runner that is admitted, and leave nothing behind."""
    monkeypatch.setenv("REFUTE_TLS", str(certify(there.authority, tmp_path / "tls", "runner")))
    yield there
    until(lambda: not there.paused() and not there.journal.live(), 5)


def refusal(there, **asked):
    start = time.monotonic()
    with pytest.raises(RefuteError) as caught:
        ask_there(there.url, "hello", **asked)
    assert time.monotonic() - start < 5, "it never hangs"
    problem = caught.value.problems[0]
    return problem.code, problem.seen


def as_somebody(monkeypatch, directory):
    monkeypatch.setenv("REFUTE_TLS", str(directory))


# Who gets in


def test_one_that_is_named_gets_in(runner):
    assert ask_there(runner.url, "hello")["process"]["boot"]


def test_a_good_certificate_of_another_name_does_not(there, tmp_path, monkeypatch):
    as_somebody(monkeypatch, certify(there.authority, tmp_path, "somebody"))
    assert refusal(there) == ("GUARDIAN-STRANGER", "somebody")
    assert "somebody is not admitted" in there.said()


def test_an_expired_certificate_does_not(there, tmp_path, monkeypatch):
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    as_somebody(monkeypatch, certify(there.authority, tmp_path, "runner", not_after=yesterday))
    code, seen = refusal(there)
    assert (code, "certificate expired" in seen) == ("GUARDIAN-UNREACHED", True), seen


def test_a_certificate_of_an_unknown_authority_does_not(there, tmp_path, monkeypatch):
    as_somebody(monkeypatch, certify(trustme.CA(), tmp_path, "runner", trusted=there.authority))
    code, seen = refusal(there)
    assert (code, "unknown ca" in seen) == ("GUARDIAN-UNREACHED", True), seen


def test_a_guardian_of_an_unknown_authority_is_not_spoken_to(there, tmp_path, monkeypatch):
    as_somebody(monkeypatch, certify(trustme.CA(), tmp_path, "runner"))
    code, seen = refusal(there)
    assert (code, "its certificate is not good: self-signed certificate in certificate chain" in seen) == ("GUARDIAN-UNREACHED", True), seen


def test_a_guardian_of_another_host_is_not_spoken_to(runner):
    with pytest.raises(RefuteError) as caught:
        ask_there(f"tls://localhost:{runner.port}", "hello")
    assert "not valid for 'localhost'" in caught.value.problems[0].seen


def test_nobody_without_a_certificate_gets_in(there):
    context = ssl.create_default_context(cadata=there.authority.cert_pem.bytes().decode())
    with socket.create_connection(("127.0.0.1", there.port), 3) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        tls.settimeout(3)
        with pytest.raises(OSError, match=r"(?i)certificate.required"):
            tls.recv(1)


def test_old_tls_does_not(runner):
    context = Identity().client()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", runner.port), 3) as plain, pytest.raises(OSError, match=r"(?i)version"):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize("words", [b"GET / HTTP/1.0\r\n\r\n", bytes(range(256)) * 64, b"\x16\x03\x01\xff\xff" + b"x" * 100])
def test_what_is_no_tls_is_sent_away_and_the_guardian_lives(runner, words):
    with socket.create_connection(("127.0.0.1", runner.port), 3) as plain:
        plain.settimeout(8)
        plain.sendall(words)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass
    assert ask_there(runner.url, "hello")


def test_one_that_hangs_is_sent_away_and_keeps_nobody_waiting(runner):
    with socket.create_connection(("127.0.0.1", runner.port), 3) as plain:
        start = time.monotonic()
        assert ask_there(runner.url, "hello")
        assert time.monotonic() - start < 2
        plain.settimeout(10)
        assert plain.recv(1) == b"", "it is not waited for for ever"
    assert "refused before it said a word" in runner.said()


def test_where_nothing_speaks_tls_or_nothing_listens_the_runner_says_so(runner):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"tls://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(RefuteError) as caught:
            ask_there(url, "hello")
        assert time.monotonic() - start < 5
        assert caught.value.problems[0].seen == "no answer in time"
    with pytest.raises(RefuteError) as caught:
        ask_there(url, "hello")
    assert "refused" in caught.value.problems[0].seen


# Keys


def test_a_key_that_others_may_read_is_not_used(there, tmp_path, monkeypatch):
    as_somebody(monkeypatch, certify(there.authority, tmp_path, "runner"))
    (tmp_path / "key.pem").chmod(0o640)
    assert refusal(there) == ("TLS-KEY", "0640")


def test_a_missing_file_and_a_key_of_another_certificate_are_told(there, tmp_path, monkeypatch):
    as_somebody(monkeypatch, tmp_path)
    assert refusal(there) == ("TLS-FILE", "there is no file cert.pem")
    certify(there.authority, tmp_path, "runner")
    certify(there.authority, tmp_path / "other", "runner")
    (tmp_path / "other" / "key.pem").replace(tmp_path / "key.pem")
    assert refusal(there)[0] == "TLS-FILE"


def test_a_guardian_with_such_a_key_does_not_listen(there, tmp_path):
    certify(there.authority, tmp_path, "127.0.0.1")
    (tmp_path / "key.pem").chmod(0o644)
    command = [sys.executable, "-m", "refute", "guardian", "--listen", "127.0.0.1:0", "--admit", "runner", "--tls", str(tmp_path)]
    done = subprocess.run(
        command, env=os.environ | {"XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "[TLS-KEY]" in done.stderr) == (2, True), done.stderr


def test_an_address_that_is_taken_is_told(there, tmp_path):
    certify(there.authority, tmp_path, "127.0.0.1")
    command = [
        sys.executable,
        "-m",
        "refute",
        "guardian",
        "--listen",
        f"127.0.0.1:{there.port}",
        "--admit",
        "runner",
        "--tls",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, env=os.environ | {"XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "[GUARDIAN-LISTEN]" in done.stderr) == (2, True), done.stderr


# What they may do


def asked(lines, number, op, **fields):
    lines.send({"id": number, "op": op, **fields}, 5)
    return lines.receive(10)


def code(answer):
    return answer["problems"][0]["code"]


def test_it_says_what_its_host_permits_and_what_would_mend_a_fault_that_cannot_be(runner):
    permitted = {fault: one["mechanism"] for one in ask_there(runner.url, "abilities")["abilities"] for fault in one["faults"]}
    assert permitted["process.pause"] == "signals"
    with pytest.raises(RefuteError) as caught:
        ask_there(runner.url, "choose", arming=runner.arming(pidfile=""))
    problem = caught.value.problems[0]
    assert (problem.code, problem.next) == (
        "INJECTOR-NONE", "mend what is said of the component target in the intent file, then: refute check",
    )  # fmt: skip


def test_a_fault_lives_as_long_as_its_connection(runner):
    lines = runner.connected()
    handle = asked(lines, 1, "prepare", arming=runner.arming())["handle"]
    assert (handle["rollback"], handle["data"]["by"]) == ("journalled", "runner")
    assert asked(lines, 2, "arm", handle=handle["id"], experiment="e", ttl_s=3.0)["ok"]
    assert runner.paused()
    assert asked(lines, 3, "renew", ttl_s=3.0)["landings"][handle["id"]]["injected"]
    (run,) = ask_there(runner.url, "look")["guardian"]["runs"]
    assert (run["by"], run["handles"]) == ("runner", [handle["id"]])
    lines.connection.close()
    until(lambda: not runner.paused(), 2)
    assert ask_there(runner.url, "undo", handle=handle["id"])["state"] == "verified"


def never(name, host="", guardian="", endpoint="", **place):
    return Component(name, "service", endpoint=endpoint, place=Place(host=host, guardian=guardian, **place)).to_json()


def armed_beside(runner, off_limits):
    """Ask for a pause of `target` on the host `branch`, where something is off limits; return what was said."""
    lines = runner.connected()
    try:
        target = runner.arming(host="branch", guardian=runner.url, port=8099)
        handle = asked(lines, 1, "prepare", arming=target)["handle"]
        answer = asked(lines, 2, "arm", handle=handle["id"], experiment="e", ttl_s=3.0, off_limits=[off_limits])
        assert runner.paused() == answer["ok"]
        return answer["ok"] or code(answer)
    finally:
        lines.connection.close()


def test_what_is_off_limits_on_this_host_is_so_under_any_name(runner):
    pidfile = str(runner.home / "pid")
    for alias in (
        never("target", host="other"),
        never("ledger", host="branch", pidfile=pidfile),
        never("ledger", host="branch-by-another-name", guardian=runner.url, pidfile=pidfile),
        never("ledger", host="branch", endpoint="http://10.1.2.3:8099"),
        *(never("ledger", endpoint=f"http://{address}:8099") for address in own_addresses()),
    ):
        assert armed_beside(runner, alias) == "BLAST-NEVER", alias


def test_what_is_off_limits_elsewhere_is_not_taken_for_something_here(runner):
    pidfile = str(runner.home / "pid")
    for elsewhere in (
        never("ledger", pidfile=pidfile),
        never("ledger", endpoint="http://127.0.0.1:8099"),
        never("ledger", host="third", guardian="tls://127.0.0.1:1", pidfile=pidfile),
        never("ledger", endpoint="http://192.0.2.7:8099"),
    ):
        assert armed_beside(runner, elsewhere) is True, elsewhere
        until(lambda: not runner.paused(), 3)


def own_addresses():
    """The address under which this host is reached from elsewhere, where it is."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return [probe.getsockname()[0]]
    return []


def test_a_silent_caller_loses_its_lease(runner):
    lines = runner.connected()
    handle = asked(lines, 1, "prepare", arming=runner.arming())["handle"]
    asked(lines, 2, "arm", handle=handle["id"], experiment="e", ttl_s=0.5)
    assert runner.paused()
    until(lambda: not runner.paused(), 2)
    assert asked(lines, 3, "renew", ttl_s=3.0)["ok"] is False, "an ended lease stays ended"


def test_another_caller_can_have_a_fault_undone(runner):
    lines = runner.connected()
    handle = asked(lines, 1, "prepare", arming=runner.arming())["handle"]
    asked(lines, 2, "arm", handle=handle["id"], experiment="e", ttl_s=30.0)
    assert runner.paused()
    assert ask_there(runner.url, "undo", handle=handle["id"]) == {"id": 2, "ok": True, "state": "verified", "reason": ""}
    assert not runner.paused()
    with pytest.raises(ConnectionError):
        asked(lines, 3, "renew", ttl_s=30.0)


def test_a_request_that_comes_late_or_twice_applies_nothing(runner):
    lines = runner.connected()
    late = asked(lines, 1, "prepare", arming=runner.arming())["handle"]["id"]
    time.sleep(_caller.FRESH_S + 0.2)
    answer = asked(lines, 2, "arm", handle=late, experiment="e", ttl_s=3.0)
    assert (code(answer), answer["problems"][0]["seen"]) == ("GUARDIAN-STALE", "it was prepared too long ago")
    handle = asked(lines, 3, "prepare", arming=runner.arming())["handle"]["id"]
    assert asked(lines, 4, "arm", handle=handle, experiment="e", ttl_s=3.0)["ok"]
    assert asked(lines, 5, "disarm")["verified"] == {handle: True}
    assert code(asked(lines, 6, "arm", handle=handle, experiment="e", ttl_s=3.0)) == "GUARDIAN-STALE"
    assert not runner.paused()


def test_a_handle_of_the_callers_own_making_or_of_another_connection_applies_nothing(runner):
    lines, other = runner.connected(), runner.connected()
    handle = asked(lines, 1, "prepare", arming=runner.arming())["handle"]
    assert code(asked(other, 1, "arm", handle=handle["id"], experiment="e", ttl_s=3.0)) == "GUARDIAN-STALE"
    assert code(asked(other, 2, "arm", handle=handle, experiment="e", ttl_s=3.0)) == "GUARDIAN-STALE"
    assert not runner.paused()


def test_a_message_that_is_said_again_ends_the_connection(runner):
    lines = runner.connected()
    assert asked(lines, 7, "hello")["ok"]
    with pytest.raises(ConnectionError):
        asked(lines, 7, "hello")


def test_a_prepared_fault_that_somebody_asks_about_is_gone_only_once_it_cannot_be_applied_any_more(runner):
    lines = runner.connected()
    handle = asked(lines, 1, "prepare", arming=runner.arming())["handle"]["id"]
    start = time.monotonic()
    assert ask_there(runner.url, "undo", handle=handle)["state"] == ""
    assert time.monotonic() - start >= _caller.FRESH_S
    assert code(asked(lines, 2, "arm", handle=handle, experiment="e", ttl_s=3.0)) == "GUARDIAN-STALE"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"op": "mind"}, "LINK-OP"),
        ({"op": "arm"}, "LINK-FAILED"),
        ({"op": "prepare", "arming": {}}, "LINK-FAILED"),
        ({"op": "prepare", "arming": 5}, "LINK-FAILED"),
    ],
)
def test_nonsense_is_answered(runner, fields, wanted):
    lines = runner.connected()
    assert code(asked(lines, 1, **fields)) == wanted
    assert asked(lines, 2, "hello")["ok"]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"op": "hello"}\n', b"x" * (2 << 20)])
def test_garbage_after_the_handshake_ends_the_connection_only(runner, line):
    lines = runner.connected()
    with contextlib.suppress(ConnectionError):
        lines.connection.sendall(line)
    with pytest.raises(ConnectionError):
        lines.receive(5)
    assert ask_there(runner.url, "hello")


def test_its_own_port_and_processes_are_never_touched(runner):
    lines = runner.connected()
    own = Arming(Component("target", "service", place=Place(port=runner.port)), "network.partition").to_json()
    answer = asked(lines, 1, "prepare", arming=own)
    assert (code(answer), "the guardian's own" in answer["problems"][0]["seen"]) == ("HOST-REFUSED", True)
    answer = asked(lines, 2, "prepare", arming=runner.arming(pidfile="", match=f"{runner.home / 'tls'}"))
    assert code(answer) == "HOST-REFUSED", answer
    answer = asked(lines, 3, "prepare", arming=Arming(Component("c", "llm", endpoint="http://127.0.0.1:1"), "llm.rate_limit").to_json())
    assert code(answer) == "HOST-REFUSED"


def test_no_secret_of_a_caller_is_in_what_the_guardian_prints(runner):
    assert "PRIVATE" not in runner.said()
    assert "BEGIN" not in runner.said()


# A run's end


def aimed(there):
    place = Place(pidfile=str(there.home / "pid"), host="branch-1", guardian=there.url)
    return Arming(Component("target", "service", place=place), "process.pause")


async def test_a_run_writes_down_here_whom_to_ask_before_anything_is_applied_there(runner, tmp_path):
    here, arming = Journal(tmp_path / "journal"), aimed(runner)
    async with FarGuard(here, arming.component.place) as guard:
        handle = await guard.prepare(arming)
        assert not here.live()
        await guard.arm([handle], "e", 3.0)
        (entry,) = here.live()
        assert (entry.state, entry.handle.rollback, entry.experiment) == ("applied", "elsewhere", "e")
        assert (entry.handle.data["handle"], Arming.from_json(entry.handle.data["arming"])) == (handle.id, arming)
        assert runner.paused()
        await guard.renew(3.0)
        assert guard.landed(handle).effect == {"stopped_processes": 1.0}
        assert await guard.disarm([handle])
    assert (here.live(), here.state(entry.handle.id)) == ([], "verified")


async def test_a_journal_that_cannot_be_written_here_means_that_nothing_is_applied_there(runner, tmp_path):
    (tmp_path / "file").touch()
    arming = aimed(runner)
    async with FarGuard(Journal(tmp_path / "file" / "journal"), arming.component.place) as guard:
        handle = await guard.prepare(arming)
        with pytest.raises(RefuteError) as caught:
            await guard.arm([handle], "e", 3.0)
    assert caught.value.problems[0].code.startswith("JOURNAL-")
    assert not runner.paused()


async def test_what_a_dead_run_has_left_there_is_undone_and_proven_from_here(runner, tmp_path):
    here, arming = Journal(tmp_path / "journal"), aimed(runner)
    async with FarGuard(here, arming.component.place) as guard:
        await guard.arm([await guard.prepare(arming)], "e", 30.0)
        assert runner.paused()
        (one,) = recover(here, {}, running=lambda _: False).handles
        assert (one.ending, "has removed it" in one.reason) == ("recovered", True)
        assert not runner.paused()
        with pytest.raises(RefuteError) as caught:
            await guard.renew(30.0)
        assert caught.value.problems[0].code == "GUARDIAN-LOST"
    assert recover(here, {}, running=lambda _: False).handles == ()


async def test_what_a_dead_run_only_meant_to_do_is_told_as_never_applied(runner, tmp_path):
    here, arming = Journal(tmp_path / "journal"), aimed(runner)
    async with FarGuard(here, arming.component.place) as guard:
        here.advance(noted(await guard.prepare(arming)), "intended", experiment="e")
    (one,) = recover(here, {}, running=lambda _: False).handles
    assert (one.ending, "has never applied it" in one.reason) == ("recovered", True)


async def test_a_guardian_that_cannot_be_asked_leaves_it_unproven(runner, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"tls://127.0.0.1:{taken.getsockname()[1]}"
    here, arming = Journal(tmp_path / "journal"), aimed(runner)
    elsewhere = replace(arming, component=replace(arming.component, place=replace(arming.component.place, guardian=url)))
    here.advance(noted(Handle("signals", "journalled", {"arming": elsewhere.to_json()})), "intended", experiment="e")
    recovery = recover(here, {}, running=lambda _: False)
    assert (recovery.exit_code, recovery.handles[0].ending) == (5, "unproven")
    assert "branch-1 cannot be asked" in recovery.handles[0].reason
    assert "cannot be asked" in next(iter(doctor.elsewhere(here).values()))
    assert len(here.live()) == 1


def test_told_to_end_it_lets_everything_go(there, tmp_path, monkeypatch):
    as_somebody(monkeypatch, certify(there.authority, tmp_path / "tls", "runner"))
    environ = os.environ | {"XDG_STATE_HOME": str(there.home / "state")}
    command = [sys.executable, "-m", "refute", "guardian", "--listen", "127.0.0.1:0", "--admit", "runner", "--tls", str(there.home / "tls")]
    second = subprocess.Popen([*command, "--json"], env=environ, stdout=subprocess.PIPE, text=True)
    lines = replace(there, url=json.loads(second.stdout.readline())["guardian"]).connected()
    handle = asked(lines, 1, "prepare", arming=there.arming())["handle"]
    assert asked(lines, 2, "arm", handle=handle["id"], experiment="e", ttl_s=30.0)["ok"]
    assert there.paused()
    second.terminate()
    until(lambda: not there.paused(), 3)
    second.communicate(timeout=10)
    assert second.returncode == 0
