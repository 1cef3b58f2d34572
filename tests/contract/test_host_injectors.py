"""Every fault of a whole component, for real on this host: its effect, as the component's clients and the component itself feel it.

One contract for all: preparing changes nothing; while applied the effect is felt and the injector says so; any fresh process can roll it
back from the JSON of the handle, twice; then nothing is left. They need root and iptables, and are marked so.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from refute.core.arming import Arming, Handle
from refute.core.errors import RefuteError
from refute.core.lease import Lease
from refute.core.system import Component, Place
from refute.injectors.registry import choose, injectors

pytestmark = pytest.mark.host

SERVER = """
import os, socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
def busy():
    start, n = time.monotonic(), 0
    before = time.process_time()
    while time.process_time() - before < 0.1: n += 1
    return time.monotonic() - start
def answer(connection):
    with connection:
        what = connection.recv(10)
        try:
            if what == b"memory": bytearray(80_000_000)
            if what == b"file": open("/dev/null").close()
            said = b"%.3f" % busy() if what == b"busy" else b"well"
            if what == b"large": said = b"x" * 60_000
            if what == b"write": os.pwrite(os.open(sys.argv[2], os.O_TMPFILE | os.O_RDWR), b"x" * 1_000_000, 0) == 1_000_000 or 1 / 0
        except Exception as error:
            said = (type(error).__name__ + str(getattr(error, "errno", ""))).encode()
        connection.sendall(said)
while True:
    try: connection = listener.accept()[0]
    except OSError: time.sleep(0.01); continue
    threading.Thread(target=answer, args=[connection]).start() if len(sys.argv) > 3 else answer(connection)
"""
FRESH = """
import json, sys
from refute.core.arming import Handle
from refute.injectors.registry import injectors
handle = Handle.from_json(json.load(sys.stdin))
injector = injectors()[handle.injector]
injector.rollback(handle)
injector.rollback(handle)
print(injector.verify(handle))
"""


@dataclass
class Served:
    port: int
    folder: Path
    process: subprocess.Popen | None = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(self.port), str(self.folder)])
        until(lambda: self.ask() == b"well")

    def ask(self, what=b"hello", limit_s=1.0, most=40):
        try:
            with socket.create_connection(("127.0.0.1", self.port), limit_s) as connection:
                connection.settimeout(limit_s)
                connection.sendall(what)
                said = b""
                while len(said) < most and (more := connection.recv(most)):
                    said += more
                return said
        except OSError as error:
            return type(error).__name__.encode()

    def seconds(self, limit_s=5.0):
        start = time.monotonic()
        assert self.ask(limit_s=limit_s) == b"well"
        return time.monotonic() - start


def until(wanted, limit_s=5.0):
    end = time.monotonic() + limit_s
    while not wanted():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


@pytest.fixture
def served(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    made = Served(port, folder)
    made.start()
    yield made
    made.process.kill()
    made.process.wait()
    subprocess.run(["umount", folder], check=True)


def aimed(served, fault, magnitude=None):
    place = Place(directory=str(served.folder))
    return Arming(Component("target", "service", endpoint=f"http://127.0.0.1:{served.port}", place=place), fault, magnitude)


def unhurt(served):
    return served.ask() == b"well" and served.seconds() < 0.1 and served.ask(b"write") == b"well"


def hangs(served):
    assert served.ask(limit_s=0.4) == b"TimeoutError"


def is_reset(served):
    assert served.ask() in {b"ConnectionRefusedError", b"ConnectionResetError"}


def is_late(served):
    assert 0.25 < served.seconds() < 2.0


def is_thin(served):
    start = time.monotonic()
    assert len(served.ask(b"large", limit_s=10.0, most=60_000)) == 60_000
    assert time.monotonic() - start > 0.8, "60 kB at 50 kB/s"


def is_thinned(served):
    begun = [served.ask(limit_s=0.15) for _ in range(40)]
    lost = sum(said == b"TimeoutError" for said in begun)
    assert 5 < lost < 40, f"at least a first or second packet of many connections is lost and sent again later: {lost} of 40"


def fails_with(what, error):
    def check(served):
        assert served.ask(what) == error

    check.__name__ = f"{what.decode()} fails with {error.decode()}"
    return check


def is_slow(served):
    assert float(served.ask(b"busy", limit_s=5.0)) > 0.35, "a tenth of a second of work at a fifth of a processor"


def is_gone(served):
    served.process.wait(2)
    assert served.ask() == b"ConnectionRefusedError"


DELAYS = "nfqueue" if injectors()["netem"].lacks("network.delay").what else "netem"
CASES = [
    ("process.pause", None, "signals", hangs),
    ("process.memory", None, "prlimit", fails_with(b"memory", b"MemoryError")),
    ("process.fd_exhaustion", 1.0, "prlimit", fails_with(b"file", b"OSError24")),
    ("process.cpu", None, "cgroup", is_slow),
    ("network.partition", None, "iptables", hangs),
    ("network.reset", None, "iptables", is_reset),
    ("network.loss", 40.0, "iptables", is_thinned),
    ("network.delay", 0.15, DELAYS, is_late),
    ("network.bandwidth", 50.0, "nfqueue", is_thin),
    ("disk.full", None, "ballast", fails_with(b"write", b"OSError28")),
    ("disk.full", 0.5, "ballast", fails_with(b"write", b"ZeroDivisionError")),  # a short write, as the kernel gives
]


def rolled_back_elsewhere(handle):
    """Roll back in a fresh process, from JSON alone."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FRESH], input=json.dumps(handle.to_json()), capture_output=True, text=True, env=environ, check=True
    )
    return done.stdout.strip() == "True"


@pytest.mark.parametrize(("fault", "magnitude", "name", "felt"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_felt_seen_and_gone(served, fault, magnitude, name, felt):
    arming = aimed(served, fault, magnitude)
    injector = choose(arming)
    assert (injector.name, injector.rollback_kind) == (name, "journalled")
    handle = injector.prepare(arming)
    assert Handle.from_json(json.loads(json.dumps(handle.to_json()))) == handle
    assert unhurt(served), "preparing has no effect"
    assert injector.verify(handle)
    lease = Lease(20)
    injector.apply(handle, lease)
    try:
        felt(served)
        until(lambda: injector.landed(handle).injected)
        landing = injector.landed(handle)
        assert landing.effect
        assert landing.injected == landing.eligible
        assert not injector.verify(handle)
    finally:
        lease.revoke()
        injector.rollback(handle)
    assert injector.verify(handle)
    assert unhurt(served)
    injector.rollback(handle)
    assert injector.verify(handle)


@pytest.mark.parametrize(("fault", "magnitude", "name", "felt"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_any_fresh_process_can_roll_back(served, fault, magnitude, name, felt):
    program = """
import json, sys
from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.injectors.registry import choose
arming = Arming.from_json(json.loads(sys.argv[1]))
injector = choose(arming)
handle = injector.prepare(arming)
injector.apply(handle, Lease(20))
print(json.dumps(handle.to_json()), flush=True)
sys.stdin.read()
"""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    arming = json.dumps(aimed(served, fault, magnitude).to_json())
    applier = subprocess.Popen(
        [sys.executable, "-c", program, arming], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )
    handle = Handle.from_json(json.loads(applier.stdout.readline()))
    felt(served)
    applier.kill()
    applier.wait()
    applier.stdin.close()
    applier.stdout.close()
    assert rolled_back_elsewhere(handle)
    until(lambda: unhurt(served))


def test_a_dead_holder_of_packets_lets_them_pass(served):
    """Fail-open: what is left of the fault is rules without effect."""
    arming = aimed(served, "network.delay", 0.5)
    injector = injectors()["nfqueue"]
    handle = injector.prepare(arming)
    lease = Lease(20)
    injector.apply(handle, lease)
    try:
        assert served.seconds() > 0.5
        os.kill(injector._holders[handle.id].pid, 9)
        time.sleep(0.2)
        assert served.seconds() < 0.1
        assert not injector.verify(handle)
        until(lambda: injector.landed(handle).injected < injector.landed(handle).eligible)
    finally:
        lease.revoke()
        injector.rollback(handle)
    assert injector.verify(handle)


def test_a_kill_is_undone_by_whoever_starts_the_process_again(served):
    arming = aimed(served, "process.kill")
    injector = choose(arming)
    handle = injector.prepare(arming)
    injector.apply(handle, Lease(5))
    is_gone(served)
    assert injector.landed(handle).effect == {"killed_processes": 1.0}
    injector.rollback(handle)
    assert not injector.verify(handle), "nobody has started it again"
    served.start()
    assert injector.verify(handle)


@pytest.mark.parametrize("fault", sorted({case[0] for case in CASES} | {"process.kill"}))
def test_nothing_is_applied_once_the_lease_has_ended(served, fault):
    arming = aimed(served, fault)
    injector = choose(arming)
    handle = injector.prepare(arming)
    lease = Lease(5)
    lease.revoke()
    with pytest.raises(RefuteError, match="its lease ended"):
        injector.apply(handle, lease)
    assert injector.verify(handle)
    assert unhurt(served)


def test_families_are_struck_and_restored_whole(tmp_path):
    program = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        (tmp_path / "pid").write_text(str(process.pid))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: children.read_text().split())
        (child,) = children.read_text().split()
        arming = Arming(Component("target", "service", place=Place(pidfile=str(tmp_path / "pid"))), "process.pause")
        injector = choose(arming)
        handle = injector.prepare(arming)
        assert [one["pid"] for one in handle.data["processes"]] == [process.pid, int(child)]
        injector.apply(handle, Lease(5))
        assert injector.landed(handle).effect == {"stopped_processes": 2.0}
        injector.rollback(handle)
        until(lambda: injector.verify(handle))
    finally:
        os.kill(int(child), 9)
        process.kill()
        process.wait()


@pytest.fixture
def namespace(tmp_path):
    """A service in a network namespace of its own, reached over a pair of virtual interfaces."""
    name = f"rf{secrets.token_hex(4)}"
    commands = [
        f"ip netns add {name}", f"ip link add {name}a type veth peer name {name}b", f"ip link set {name}b netns {name}",
        f"ip addr add 10.231.7.1/30 dev {name}a", f"ip link set {name}a up", f"ip -n {name} addr add 10.231.7.2/30 dev {name}b",
        f"ip -n {name} link set {name}b up", f"ip -n {name} link set lo up",
    ]  # fmt: skip
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        program = SERVER.replace('"127.0.0.1"', '"10.231.7.2"')
        process = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", program, "8099", str(tmp_path)])
        yield name
        process.kill()
        process.wait()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.parametrize(("fault", "magnitude"), [("network.partition", None), ("network.reset", None), ("network.delay", 0.2)])
def test_a_namespace_is_struck_from_within(namespace, fault, magnitude):
    component = Component("target", "datastore", endpoint="http://10.231.7.2:8099", place=Place(netns=namespace))
    arming = Arming(component, fault, magnitude)

    def ask():
        start = time.monotonic()
        try:
            with socket.create_connection(("10.231.7.2", 8099), 0.8) as connection:
                connection.sendall(b"hello")
                connection.settimeout(0.8)
                return connection.recv(10), time.monotonic() - start
        except OSError as error:
            return type(error).__name__, time.monotonic() - start

    until(lambda: ask()[0] == b"well")
    injector = choose(arming)
    handle, lease = injector.prepare(arming), Lease(20)
    injector.apply(handle, lease)
    try:
        said, seconds = ask()
        assert said != b"well" or seconds > 0.35
        until(lambda: injector.landed(handle).injected)
        assert handle.data["chain"] not in subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout
    finally:
        lease.revoke()
        injector.rollback(handle)
    assert injector.verify(handle)
    said, seconds = ask()
    assert (said, seconds < 0.2) == (b"well", True)


def test_all_look_ups_of_a_namespace_fail_and_no_others(namespace):
    """Over IPv4 and IPv6; its resolver need not be there."""
    component = Component("target", "datastore", endpoint="http://10.231.7.2:8099", place=Place(netns=namespace))
    question = "abcd01000001000000000000076578616d706c6503636f6d0000010001"
    ask = f"""
import socket
for family, address in ((socket.AF_INET, "10.231.7.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.5)
        asking.connect((address, 53))
        try:
            asking.send(bytes.fromhex("{question}"))
            print(asking.recv(512)[3] & 15, end=" ")
        except OSError as error:
            print(type(error).__name__, end=" ")
"""

    def codes(*within):
        return subprocess.run([*within, sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    arming = Arming(component, "dns.not_found")
    injector = choose(arming)
    handle, lease = injector.prepare(arming), Lease(20)
    before = codes("ip", "netns", "exec", namespace)
    injector.apply(handle, lease)
    try:
        assert codes("ip", "netns", "exec", namespace) == ["3", "3"]
        until(lambda: injector.landed(handle).effect == {"lookups_failed": 2.0})
        assert "3" not in codes(), "the host's own look-ups are not touched"
    finally:
        lease.revoke()
        injector.rollback(handle)
    assert injector.verify(handle)
    assert codes("ip", "netns", "exec", namespace) == before != ["3", "3"]


def test_a_namespace_that_is_gone_has_taken_its_rules_with_it(namespace):
    component = Component("target", "datastore", endpoint="http://10.231.7.2:8099", place=Place(netns=namespace))
    arming = Arming(component, "network.partition")
    injector = choose(arming)
    handle = injector.prepare(arming)
    handle = Handle(handle.injector, handle.rollback, handle.data | {"namespace": {"name": namespace, "inode": 1}}, handle.id)
    injector.rollback(handle)
    assert injector.verify(handle)


@pytest.mark.parametrize(
    ("fault", "component", "reason"),
    [
        ("disk.full", Component("t", "datastore", place=Place(directory="/")), "the host itself"),
        ("disk.full", Component("t", "datastore", place=Place(directory="/tmp")), "only one of its own"),
        ("network.delay", Component("t", "datastore", endpoint="http://10.0.0.1:80"), "neither a `port` nor an `endpoint` on loopback"),
        ("network.reset", Component("t", "datastore", place=Place(port=5, netns="x")), "no `endpoint` at which"),
        ("process.kill", Component("t", "datastore"), "neither `process` nor a port"),
    ],
)
def test_what_must_not_be_broken_or_cannot_be_told_is_refused(fault, component, reason):
    told = [injector.refuses(Arming(component, fault)) for injector in injectors().values()]
    assert [one for one in told if reason in one]
    assert all(told)
