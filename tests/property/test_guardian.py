"""Journal, leases and guardian against a model: the clock is ours, hands fail at will, guardians and runs die, the machine restarts.

The model knows which handles may have been applied. Whenever somebody is there to look after them and hands work, none of them is left.
"""

import shutil
import socket
import tempfile
import threading
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from refute.core.arming import Handle, Landing
from refute.core.lease import Lease
from refute.core.process import ProcessIdentity
from refute.safety import _ward
from refute.safety._mender import Mender
from refute.safety._ward import Ward
from refute.safety.journal import Journal
from refute.safety.recover import recover

TTL_S = 3.0


class Died(BaseException):
    """The process that was at work is gone in the middle of it."""


class World:
    """What hands break; it outlives every process."""

    name = "world"

    def __init__(self):
        self.broken = set()
        self.stuck = False
        self.dies = ""

    def apply(self, handle, lease):
        if self.dies == "before":
            raise Died
        self.broken.add(handle.id)
        if self.dies == "after":
            raise Died

    def landed(self, handle):
        return Landing(eligible=1, injected=int(handle.id in self.broken))

    def rollback(self, handle):
        if self.stuck:
            raise OSError("device is busy")
        self.broken.discard(handle.id)

    def verify(self, handle):
        return handle.id not in self.broken


class GuardianMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.world, self.now_s, self.boots, self.made = World(), 0.0, 1, 0
        self.ward = None
        self.guardian()

    def journal(self, runner=None):
        who = runner or ProcessIdentity(1, "1", f"boot-{self.boots}")
        return Journal(self.place / "journal", runner=who, now=lambda: self.now_s, monotonic=lambda: self.now_s)

    def guardian(self):
        """A new one: it has no memory, and first takes what the journal says is live."""
        self.mender = Mender(self.journal(), {"world": self.world})
        self.mender.take_orphans(set())
        self.mend()
        self.ward = None

    def mend(self):
        """One attempt at everything that resists, without the thread."""
        for one in list(self.mender._waiting.values()):
            self.mender._attempt(one)

    @precondition(lambda self: self.ward is None)
    @rule(many=st.integers(1, 3), dies=st.sampled_from(["", "", "before", "after"]))
    def a_run_arms(self, many, dies):
        ours, theirs = socket.socketpair()
        theirs.close()
        self.ward = Ward(ours, self.journal, {"world": self.world}, self.mender, {})
        handles = [Handle("world", "journalled", {}, id=f"h{self.made + number}") for number in range(many)]
        self.made += many
        runner = ProcessIdentity(9, "9", f"boot-{self.boots}").to_json()
        message = {"handles": [handle.to_json() for handle in handles], "ttl_s": TTL_S, "experiment": "e", "runner": runner}
        self.world.dies = dies
        try:
            self.arm(message)
        except Died:
            self.world.dies = ""
            self.guardian()  # it died in the middle of applying; nothing of its own clean-up was run
        self.world.dies = ""

    def arm(self, message):
        """As `Ward._arm` does, on our clock; a death runs no clean-up."""
        remove, self.ward._remove = self.ward._remove, dict
        _ward.Lease = lambda ttl_s, **zone: Lease(ttl_s, lambda: self.now_s, **zone)
        try:
            self.ward._arm(message)
        finally:
            _ward.Lease = Lease
            self.ward._remove = remove

    @precondition(lambda self: self.ward is not None)
    @rule()
    def the_run_renews(self):
        ended = self.ward._lease.remaining_s() <= 0
        assert self.ward._renew({"ttl_s": TTL_S})["ok"] is not ended, "an ended lease stays ended, a running one is renewed"

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.9, 3.1, 3600.0]))
    def time_passes(self, seconds):
        """An hour is a laptop that slept."""
        self.now_s += seconds
        if self.ward is not None and self.ward._lease.remaining_s() <= 0:
            self.ward._remove()
            self.ward = None

    @precondition(lambda self: self.ward is not None)
    @rule()
    def the_run_disarms(self):
        verified = self.ward._disarm({})["verified"]
        assert {name for name, gone in verified.items() if not gone} == self.world.broken & set(verified)
        self.ward = None

    @precondition(lambda self: self.ward is not None)
    @rule()
    def the_run_dies(self):
        self.ward._remove()  # the connection closes
        self.ward = None

    @rule()
    def the_guardian_dies_and_another_takes_over(self):
        self.guardian()

    @rule()
    def the_machine_restarts(self):
        self.boots += 1
        self.guardian()

    @rule(stuck=st.booleans())
    def hands_get_stuck_or_free(self, stuck):
        self.world.stuck = stuck
        self.mend()

    @rule()
    def somebody_recovers_by_hand(self):
        recovery = recover(self.journal(), {"world": self.world}, running=lambda process: self.ward is not None)
        assert self.world.stuck or not recovery.exit_code, "what may be there is unproven only where hands are stuck"
        self.mend()

    @invariant()
    def what_is_broken_is_in_the_journal(self):
        live = {entry.handle.id for entry in self.journal().live()}
        assert self.world.broken <= live
        assert self.journal().damaged() == []

    @invariant()
    def what_is_live_has_somebody_who_looks_after_it(self):
        live = {entry.handle.id for entry in self.journal().live()}
        guarded = self.ward.live() if self.ward is not None else set()
        assert live == guarded | {one["handle"] for one in self.mender.resisting()}

    @invariant()
    def nothing_is_broken_without_a_lease_unless_hands_are_stuck(self):
        if self.ward is None and not self.world.stuck:
            self.mend()
            assert self.world.broken == set()
            assert self.journal().live() == []

    def teardown(self):
        shutil.rmtree(self.place)


TestGuardian = GuardianMachine.TestCase
TestGuardian.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_ward_needs_no_thread_of_ours():
    """The machine above is single-threaded: whatever it leaves running would be a leak."""
    before = set(threading.enumerate())
    run_state_machine_as_test(GuardianMachine, settings=settings(max_examples=5, stateful_step_count=30, deadline=None))
    assert set(threading.enumerate()) <= before
