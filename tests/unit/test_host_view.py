"""What a host permits, seen on hosts that are made up: mounts, control groups, disks and tools of any sort."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.system import Component, Place
from refute.injectors.host import _devices, _filter, _groups, _limits, _tools, abilities, faketime
from refute.injectors.host._answerer import answered, checksum, reply_to
from refute.injectors.host._devices import NoDeviceError, device_of
from refute.injectors.host._groups import NoGroupError, hierarchy
from refute.injectors.registry import choose


@pytest.fixture
def host(tmp_path):
    """A host with no mounts yet."""
    return Host(tmp_path)


class Host:
    def __init__(self, place):
        self.place, self.proc, self.lines = place, place / "proc", []
        (self.proc / "self").mkdir(parents=True)
        self.mount("proc", "/proc", "0:4", "proc")

    def mount(self, kind, where, device="0:30", source="none", *, options="rw", within="/"):
        self.lines.append(f"{len(self.lines)} 1 {device} {within} {where} rw,relatime - {kind} {source} {options}")
        (self.proc / "self/mountinfo").write_text("\n".join(self.lines) + "\n")

    def version_1(self, controllers):
        root = self.place / "cgroup" / controllers
        root.mkdir(parents=True)
        self.mount("cgroup", root, options=f"rw,{controllers}")
        return root

    def version_2(self, controllers, handed_down):
        root = self.place / "cgroup2"
        root.mkdir()
        (root / "cgroup.controllers").write_text(controllers)
        (root / "cgroup.subtree_control").write_text(handed_down)
        self.mount("cgroup2", root)
        return root

    def process(self, pid, *groups):
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "cgroup").write_text("\n".join(groups) + "\n")


def test_each_controller_is_found_where_it_is(host):
    blkio, both = host.version_1("blkio"), host.version_1("cpu,cpuacct")
    unified = host.version_2("memory pids", "memory")
    found = [hierarchy(name, host.proc) for name in ("io", "cpu", "memory", "")]
    assert [(one.version, one.root) for one in found] == [
        (1, blkio), (1, both), (2, unified), (2, unified)
    ]  # fmt: skip


def test_a_host_without_a_controller_says_so(host):
    host.version_2("pids", "pids")
    with pytest.raises(NoGroupError, match="no control groups for `cpu`"):
        hierarchy("cpu", host.proc)


def test_a_controller_that_is_not_handed_down_is_told_with_the_command(host):
    root = host.version_2("cpu io", "io")
    with pytest.raises(NoGroupError, match="do not hand down `cpu`") as told:
        hierarchy("cpu", host.proc)
    assert told.value.next == f"echo +cpu > {root}/cgroup.subtree_control"


def test_a_group_is_made_below_in_version_1_and_beside_in_version_2(host):
    old, new = host.version_1("cpu"), host.version_2("io", "io")
    (old / "user").mkdir()
    for folder, handed_down in (("system", "io"), ("system/app", ""), ("slice", ""), ("slice/app", "")):
        (new / folder).mkdir()
        (new / folder / "cgroup.subtree_control").write_text(handed_down)
    host.process(7, "3:cpu:/user", "0::/system/app")
    host.process(8, "3:cpu:/gone", "0::/slice/app")
    cpu, io = hierarchy("cpu", host.proc), hierarchy("io", host.proc)
    assert cpu.parent_for(cpu.group_of(7)) == old / "user"
    assert cpu.group_of(8) == old, "a group that is not shown here counts as the root"
    assert io.parent_for(io.group_of(7)) == new / "system"
    assert io.parent_for(io.group_of(8)) == new, "the nearest that hands it down"
    assert hierarchy("", host.proc).parent_for(io.group_of(7)) == new / "system/app"


def test_a_container_sees_its_own_groups(host):
    root = host.place / "shown"
    (root / "app").mkdir(parents=True)
    host.mount("cgroup", root, options="rw,memory", within="/docker/abc")
    host.process(9, "4:memory:/docker/abc/app")
    assert hierarchy("memory", host.proc).group_of(9) == root / "app"


def test_a_disk_is_found_below_overlays_and_partitions(host, monkeypatch):
    upper = host.place / "upper"
    upper.mkdir()
    stated = {str(host.place / "merged"): os.makedev(0, 77), str(upper): os.makedev(8, 2)}
    (host.place / "merged").mkdir()
    real = Path.stat

    def stat(path, **more):
        found = real(path, **more)
        number = stated.get(str(path))
        return found if number is None else os.stat_result([found.st_mode, found.st_ino, number, *list(found)[3:]])

    monkeypatch.setattr(_devices.Path, "stat", stat)
    host.mount("overlay", "/", "0:77", "overlay", options=f"rw,lowerdir=/l,upperdir={upper},workdir=/w")
    disk = host.place / "sys/devices/sda"
    (disk / "sda2").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda2/partition").write_text("2\n")
    (host.place / "sys/dev/block").mkdir(parents=True)
    (host.place / "sys/dev/block/8:2").symlink_to(disk / "sda2")
    assert device_of(host.place / "merged/data/not/there/yet", host.proc, host.place / "sys") == "8:0"


def test_memory_is_no_disk(host):
    host.mount("tmpfs", "/dev/shm", f"0:{os.minor(Path('/dev/shm').stat().st_dev)}", "tmpfs")
    with pytest.raises(NoDeviceError, match="is on no disk but on tmpfs"):
        device_of(Path("/dev/shm/data"), host.proc)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (1, {"cpu.cfs_period_us": ["20000"], "cpu.cfs_quota_us": ["5000"]}),
        (2, {"cpu.max": ["5000 20000"]}),
    ],
)
def test_a_limit_is_written_as_its_version_wants_it(version, files):
    assert _limits.LIMITS["process.cpu"].settings(version, 25.0, "") == files


def test_counters_of_either_version_are_read(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "cpu.stat").write_text("nr_periods 9\nnr_throttled 4\nthrottled_time 2500000000\n")
    (new / "cpu.stat").write_text("usage_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 2500000\n")
    assert _limits.waited(old) == _limits.waited(new) == {"periods_waited": 4.0, "seconds_waited": 2.5}
    (old / "blkio.throttle.io_service_bytes").write_text("8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 5\nTotal 35\n")
    (new / "io.stat").write_text("8:16 rbytes=5 wbytes=0\n8:0 rbytes=10 wbytes=20 rios=1 wios=1\n252:0\n")
    assert _limits.moved_bytes(old, "8:0") == _limits.moved_bytes(new, "8:0") == 30
    assert _limits.moved_bytes(new, "252:0") == 0, "a disk that was not used yet"
    (old / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (new / "memory.events").write_text("low 0\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert _limits.killed(old) == _limits.killed(new) == {"killed_processes": 2.0}


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A host with no tools, no groups and no library."""
    host = Host(tmp_path)
    monkeypatch.setattr(_tools, "path_of", lambda tool: "")
    monkeypatch.setattr(_groups.hierarchy, "__defaults__", (host.proc,))
    monkeypatch.setattr(faketime, "library", lambda: "")
    _filter.incapable.cache_clear()
    yield host
    _filter.incapable.cache_clear()


def test_what_is_missing_is_told_with_the_command_that_mends_it(bare):
    from refute.injectors.host import netem

    netem._incapable.cache_clear()
    told = {fault: one.lack for one in abilities.abilities() for fault in one.faults if one.mechanism != "netem"}
    netem._incapable.cache_clear()
    assert told["process.pause"].what == ""
    assert told["network.delay"].next == "apt-get install -y iptables util-linux"
    assert told["process.clock_skew"].next == "pip install 'refute[clock]'"
    assert "no control groups for `io`" in told["disk.slow"].what
    assert "no control groups of version 2" in told["dns.error"].what
    assert all(lack.next for lack in told.values() if lack.what)


def test_a_fault_that_one_mechanism_can_do_lacks_nothing(monkeypatch):
    lack = abilities.Lack("no emulator", "modprobe sch_netem")
    found = [
        abilities.Ability("netem", ("network.delay",), "", lack),
        abilities.Ability("nfqueue", ("network.delay",), "q", abilities.Lack()),
    ]
    monkeypatch.setattr(abilities, "abilities", lambda: found)
    assert abilities.lack_of("network.delay").what == ""
    monkeypatch.setattr(abilities, "abilities", lambda: found[:1])
    assert abilities.lack_of("network.delay") == lack
    assert abilities.lack_of("llm.rate_limit").what == ""


def test_nothing_is_injected_where_the_host_lacks_it(bare, tmp_path):
    component = Component("orders", "datastore", place=Place(pidfile=str(tmp_path / "pid"), directory=str(tmp_path)))
    for fault in ("disk.slow", "process.cpu", "process.oom", "process.clock_skew", "dns.error"):
        with pytest.raises(RefuteError, match="INJECTOR-NONE") as caught:
            choose(Arming(component, fault))
        problem = caught.value.problems[0]
        assert problem.next == abilities.lack_of(fault).next != ""
        assert "proxy" not in problem.seen


def test_where_the_host_lacks_nothing_it_is_the_component_that_must_be_mended(monkeypatch):
    monkeypatch.setattr(abilities, "abilities", list)
    with pytest.raises(RefuteError, match="INJECTOR-NONE") as caught:
        choose(Arming(Component("orders", "datastore"), "process.pause"))
    assert caught.value.problems[0].next == "mend what is said of the component orders in the intent file, then: refute check"


def test_elsewhere_than_on_linux_another_host_must_do_it(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(RefuteError, match="INJECTOR-NONE") as caught:
        choose(Arming(Component("orders", "datastore"), "process.pause"))
    assert caught.value.problems[0].next == "have it done on a Linux host: refute guardian"


@pytest.mark.parametrize(("user", "begins"), [(0, "start the container with them: docker run --cap-add=NET_ADMIN"), (1000, "sudo ")])
def test_a_right_is_missing_to_root_only_in_a_container(monkeypatch, user, begins):
    monkeypatch.setattr(_tools, "_effective", lambda: 0)
    monkeypatch.setattr(_tools.os, "geteuid", lambda: user)
    lack = _tools.lacks([], _tools.NET_ADMIN)
    assert (lack.what, lack.next.startswith(begins)) == ("it needs the right CAP_NET_ADMIN", True)


def test_a_module_is_loaded_where_the_kernel_has_it(monkeypatch, tmp_path):
    monkeypatch.setattr(_tools, "_MODULES", tmp_path)
    assert _tools.module_or_kernel("sch_netem", "NET_SCH_NETEM") == "boot a kernel with CONFIG_NET_SCH_NETEM, then: refute doctor"
    listed = tmp_path / os.uname().release / "modules.dep"
    listed.parent.mkdir()
    listed.write_text("kernel/net/sched/sch_netem.ko.zst:\n")
    assert _tools.module_or_kernel("sch_netem", "NET_SCH_NETEM") == "modprobe sch_netem"


def test_of_the_parts_of_a_rule_the_rarer_is_what_the_kernel_lacks():
    assert "XT_MATCH_CGROUP" in _filter._part_for("-A OUTPUT -p udp -m cgroup --path / -j NFQUEUE --queue-num 0")
    assert "NFT_COMPAT" in _filter._part_for("-A INPUT -p tcp -j DROP")


# What answers look-ups, byte by byte

QUESTION = bytes.fromhex("abcd01000001000000000001") + b"\7example\3com\0\0\1\0\1" + bytes.fromhex("0000291000000000000000")


def test_a_look_up_is_answered_with_its_question_and_no_records():
    answer = answered(QUESTION, 3)
    assert answer == bytes.fromhex("abcd81830001000000000000") + b"\7example\3com\0\0\1\0\1"


@pytest.mark.parametrize("message", [b"", QUESTION[:14], QUESTION[:2] + b"\x80" + QUESTION[3:], QUESTION[:13]])
def test_what_is_no_question_is_not_answered(message):
    with pytest.raises(ValueError, match=r"no question|cut off"):
        answered(message, 2)


def test_an_answer_comes_from_whomever_was_asked():
    asker, asked = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 53])
    datagram = (40000).to_bytes(2) + (53).to_bytes(2) + (8 + len(QUESTION)).to_bytes(2) + b"\0\0" + QUESTION
    packet = bytes([0x45]) + b"\0" * 8 + bytes([17]) + b"\0\0" + asker + asked + datagram
    to, reply = reply_to(packet, 2)
    assert (to, reply[12:16], reply[16:20]) == ("10.0.0.1", asked, asker)
    assert (reply[20:22], reply[22:24]) == ((53).to_bytes(2), (40000).to_bytes(2))
    assert reply[28:] == answered(QUESTION, 2)
    length = len(reply) - 20
    assert checksum(asked + asker + length.to_bytes(4) + (17).to_bytes(4) + reply[20:]) == 0, "the receiver's own check"


def test_an_answer_over_ipv6_has_a_checksum_that_holds():
    asker, asked = bytes(15) + b"\1", bytes(15) + b"\2"
    datagram = (40000).to_bytes(2) + (53).to_bytes(2) + (8 + len(QUESTION)).to_bytes(2) + b"\0\0" + QUESTION
    to, reply = reply_to(bytes([0x60]) + b"\0" * 5 + bytes([17, 64]) + asker + asked + datagram, 3)
    assert to == "::1"
    assert checksum(asked + asker + (len(reply) - 40).to_bytes(4) + (17).to_bytes(4) + reply[40:]) == 0
