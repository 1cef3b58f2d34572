"""The injectors of whole components pass the contract that plug-ins inherit, for real on this host. They need root and iptables."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from whole_services import resolver, serving

from refute.injectors.registry import injectors
from refute.testing import InjectorContract

pytestmark = pytest.mark.host


class Whole(InjectorContract):
    """What all have in common: a service in a process of its own."""

    attributed = False
    fault, magnitude, name = "", None, ""

    @pytest.fixture(autouse=True)
    def _served(self, tmp_path):
        with serving(self.place(tmp_path), self.fault) as self.service:
            self.injector = injectors()[self.name]
            self.arming = self.service.aimed(self.fault, self.magnitude)
            yield
        self.leave(tmp_path)

    def place(self, folder):
        return folder

    def leave(self, folder):
        """Nothing to undo."""


class TestPause(Whole):
    fault, name = "process.pause", "signals"

    def call(self):
        return self.service.ask("well", 1.0)


class TestMemory(Whole):
    fault, name = "process.memory", "prlimit"

    def call(self):
        return self.service.ask("memory")


class TestDescriptors(Whole):
    fault, magnitude, name = "process.fd_exhaustion", 1.0, "prlimit"

    def call(self):
        return self.service.ask("file")


class TestCpu(Whole):
    fault, magnitude, name = "process.cpu", 5.0, "cgroup"

    def call(self):
        return self.service.ask("busy", 10.0)


class TestOom(Whole):
    fault, magnitude, name = "process.oom", 16.0, "cgroup"

    def call(self):
        return self.service.ask("memory")


class TestSlowDisk(Whole):
    fault, magnitude, name = "disk.slow", 100.0, "cgroup"

    def call(self):
        return self.service.ask("write", 10.0)


class TestClock(Whole):
    fault, name = "process.clock_skew", "faketime"

    def call(self):
        return self.service.ask_the_time()


class TestClockBack(TestClock):
    fault, magnitude = "process.clock_back", 60.0


class TestLookups(Whole):
    fault, name = "dns.error", "lookups"

    @pytest.fixture(autouse=True)
    def _resolved(self):
        with resolver():
            yield

    def call(self):
        return self.service.look_up()


class TestUnknownNames(TestLookups):
    fault = "dns.not_found"


class TestSilentResolver(TestLookups):
    fault = "dns.timeout"


class TestCertificate(Whole):
    fault, name = "tls.expired", "certificate"

    def call(self):
        return self.service.ask("well")

    def test_who_does_not_check_is_passed_on(self):
        """The component itself answers: the front changes the certificate, and nothing else."""
        with self._armed():
            assert self.service.ask("well") == "certificate has expired"
            assert self.service.ask("well", checked=False) == "well"

    def test_without_an_authority_it_signs_itself(self):
        """Expired all the same, as the landing proves; what a client objects to first is who signed it."""
        place = replace(self.arming.component.place, authority="", authority_key="")
        with self._armed(replace(self.arming, component=replace(self.arming.component, place=place))) as handle:
            assert self.service.ask("well") in {"self-signed certificate", "certificate has expired"}
            assert self.injector.landed(handle).effect["expired_for_s"] > 80_000

    def test_a_component_without_tls_is_refused(self):
        """Said at the check already."""
        plain = replace(self.arming.component, endpoint=self.arming.component.endpoint.replace("https", "http"))
        assert "does not speak TLS" in self.injector.refuses(replace(self.arming, component=plain))


class TestPartition(Whole):
    fault, name = "network.partition", "iptables"

    def call(self):
        return self.service.ask("well", 0.4)


class TestDelay(Whole):
    fault, magnitude, name = "network.delay", 1.0, "nfqueue"

    def call(self):
        return self.service.ask("well", 0.9)


@pytest.mark.netem
class TestEmulatedDelay(TestDelay):
    name = "netem"


class TestFullDisk(Whole):
    fault, name = "disk.full", "ballast"

    def place(self, folder):
        disk = folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
        return disk

    def leave(self, folder):
        subprocess.run(["umount", folder / "disk"], check=True)

    def call(self):
        return self.service.ask("write")
