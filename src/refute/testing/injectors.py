"""The contract of injectors, as a class of tests for pytest to inherit; plain assertions, so that it needs no pytest itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from refute.core.arming import Arming, Handle, Injector
from refute.core.context import Arm, UnitContext, current_unit
from refute.core.errors import RefuteError
from refute.core.lease import Lease
from refute.core.system import ComponentKind
from refute.core.zone import Zone, addresses
from refute.faults.catalogue import find

_TTL_S = 20.0
_SHORT_S = 0.2
_GONE_WITHIN_S = 2.0


@contextmanager
def in_unit(arm: Arm, key: str = "contract/0") -> Iterator[UnitContext]:
    """Run what is within as a unit of one arm.

    Args:
        arm: `treatment` or `control`.
        key: of the unit.
    """
    unit = UnitContext(key, arm)
    token = current_unit.set(unit)
    try:
        yield unit
    finally:
        current_unit.reset(token)


class InjectorContract:
    """What holds of every injector. Inherit, fill in the attributes and `call`, and let pytest collect it.

    Attributes:
        injector: the injector; each test arms it anew and leaves nothing armed.
        arming: a fault that it can inject, with a share of 1 and drawn by call, whose effect `call` shows.
        attributed: whether it knows which unit a call belongs to; an injector that strikes a component as a whole does not, and
            must refuse a share.
    """

    injector: Injector
    arming: Arming
    attributed: bool = True

    def call(self) -> Any:
        """Make one call that the fault could hit, in the unit that is current, and return what its caller sees.

        What is raised counts as seen. Without a fault it must always see the same.
        """
        raise NotImplementedError

    # What it refuses

    def test_it_takes_on_what_it_can_do(self) -> None:
        """`refuses` returns "" for what it can do."""
        assert self.injector.refuses(self.arming) == ""

    def test_it_refuses_with_a_reason(self) -> None:
        """A fault that there is not, a component of the wrong kind: a reason in words, not an exception."""
        kinds: tuple[ComponentKind, ...] = ("trainer", "data_pipeline", "queue", "llm")
        wrong = [kind for kind in kinds if kind not in find(self.arming.fault).kinds]
        strange = [replace(self.arming, component=replace(self.arming.component, kind=kind)) for kind in wrong]
        for arming in (replace(self.arming, fault="no.such_fault"), *strange):
            assert self.injector.refuses(arming), f"it would inject {arming.fault} into a {arming.component.kind}"

    def test_it_refuses_magnitudes_out_of_range(self) -> None:
        """A magnitude outside the fault's range is refused, and so is one for a fault without any."""
        scale = find(self.arming.fault).magnitude
        for magnitude in (1.0,) if scale is None else (scale.low - 1, scale.high * 2 + 1):
            assert self.injector.refuses(replace(self.arming, magnitude=magnitude)), f"it would inject a magnitude of {magnitude:g}"

    def test_it_keeps_out_of_what_is_off_limits(self) -> None:
        """`apply` refuses a target that its lease does not permit, also under another name of the same place, and changes nothing."""
        clean = self._clean()
        handle = self.injector.prepare(self.arming)
        component = self.arming.component
        for name in (component.name, *(["under another name"] if addresses(component) else [])):
            zone = Zone((replace(component, name=name),))
            code = self._refusal(handle, Lease(_TTL_S, zone=zone))
            assert code == "BLAST-NEVER", "it was applied: ask `lease.permits(component)` first"
        assert self._seen("treatment") == clean

    # What it does

    def test_preparing_has_no_effect_and_makes_a_plain_handle(self) -> None:
        """`prepare` changes nothing; its handle is JSON, and its id fit for a file name."""
        clean = self._clean()
        handle = self.injector.prepare(self.arming)
        assert self._seen("treatment") == clean
        assert handle.injector == self.injector.name
        assert handle.rollback in {"expiring", "journalled"}
        assert re.fullmatch(r"[\w.-]{1,64}", handle.id)
        assert Handle.from_json(json.loads(json.dumps(handle.to_json()))) == handle
        assert self.injector.prepare(self.arming).id != handle.id

    def test_treatment_is_hit_and_counted(self) -> None:
        """A call of treatment sees the fault; the landing says so, and how it was delivered."""
        clean = self._clean()
        with self._armed() as handle:
            assert self._seen("treatment") != clean, "the fault did nothing that its caller could see"
            landing = self.injector.landed(handle)
        assert landing.injected >= 1, landing.reason
        assert landing.injected <= landing.eligible
        assert landing.effect
        assert not self.attributed or sum(landing.effect.values()) >= 1
        assert landing.control_injected == 0

    def test_control_is_never_hit(self) -> None:
        """A call of control sees nothing of the fault, and is counted as one that could have been hit."""
        if not self.attributed:
            return
        clean = self._clean()
        with self._armed() as handle:
            assert self._seen("control") == clean
            landing = self.injector.landed(handle)
        assert (landing.injected, landing.control_injected) == (0, 0)

    def test_no_share_hits_nobody(self) -> None:
        """With a share of 0 nothing is hit; what strikes a component as a whole refuses any share."""
        if not self.attributed:
            assert self.injector.refuses(replace(self.arming, share=0.5)), "it would strike as a whole where a share is asked for"
            return
        clean = self._clean()
        with self._armed(replace(self.arming, share=0.0)) as handle:
            assert self._seen("treatment") == clean
            assert self.injector.landed(handle).injected == 0

    # How it ends

    def test_rollback_removes_it_and_can_be_repeated(self) -> None:
        """After `rollback` nothing is left, which `verify` says; again changes nothing; the counts stay known."""
        clean = self._clean()
        with self._armed() as handle:
            self._seen("treatment")
            before = self.injector.landed(handle)
            self.injector.rollback(handle)
            assert self._seen("treatment") == clean
            assert self.injector.verify(handle)
            self.injector.rollback(handle)
            assert self.injector.verify(handle)
            assert self.injector.landed(handle).injected == before.injected

    def test_it_ends_with_its_lease(self) -> None:
        """A fault that is `expiring` is gone soon after its lease has run out or was revoked, with no rollback."""
        clean = self._clean()
        if self.injector.prepare(self.arming).rollback != "expiring":
            return
        for revoke in (True, False):
            lease = Lease(_TTL_S if revoke else _SHORT_S)
            with self._armed(lease=lease):
                if revoke:
                    lease.revoke()
                else:
                    lease.wait_revoked(_SHORT_S * 2)
                self._wait_for(clean)

    def test_a_fresh_process_can_roll_back_what_is_journalled(self) -> None:
        """A fault that is `journalled` is undone from its handle alone, as read back from JSON by another instance."""
        clean = self._clean()
        with self._armed() as handle:
            if handle.rollback != "journalled":
                return
            fresh = type(self.injector)()
            fresh.rollback(Handle.from_json(json.loads(json.dumps(handle.to_json()))))
            self._wait_for(clean)
            assert fresh.verify(handle)

    def test_what_was_never_applied_is_rolled_back_all_the_same(self) -> None:
        """Rolling back a handle that was only prepared does nothing, and `verify` says that nothing is there."""
        clean = self._clean()
        handle = self.injector.prepare(self.arming)
        self.injector.rollback(handle)
        assert self.injector.verify(handle)
        assert self._seen("treatment") == clean

    def test_one_of_two_can_be_removed(self) -> None:
        """Two faults at once: removing one leaves the other at work. What strikes a component as a whole may refuse a second."""
        clean = self._clean()
        if not self.attributed and self._refuses_a_second():
            return
        with self._armed() as first, self._armed() as second:
            self.injector.rollback(first)
            assert self._seen("treatment") != clean
            assert self.injector.landed(second).injected >= 1

    # Tools

    def _refuses_a_second(self) -> bool:
        with self._armed():
            try:
                self.injector.prepare(self.arming)
            except RefuteError:
                return True
        return False

    def _refusal(self, handle: Handle, lease: Lease) -> str:
        """Apply, and return the code with which that was refused; "" where it was not, and is rolled back."""
        try:
            self.injector.apply(handle, lease)
        except RefuteError as error:
            return error.problems[0].code
        self.injector.rollback(handle)
        return ""

    def _clean(self) -> Any:
        return self._seen("treatment")

    def _seen(self, arm: Arm) -> Any:
        with in_unit(arm):
            try:
                return self.call()
            except Exception as error:  # noqa: BLE001 - what is raised is what the caller sees
                return type(error)

    def _wait_for(self, clean: Any) -> None:
        until_s = time.monotonic() + _GONE_WITHIN_S
        while (seen := self._seen("treatment")) != clean:
            assert time.monotonic() < until_s, f"the fault is still there {_GONE_WITHIN_S:g} s after its end: {seen!r}"
            time.sleep(0.01)

    @contextmanager
    def _armed(self, arming: Arming | None = None, lease: Lease | None = None) -> Iterator[Handle]:
        handle = self.injector.prepare(arming or self.arming)
        self.injector.apply(handle, lease or Lease(_TTL_S))
        try:
            yield handle
        finally:
            self.injector.rollback(handle)
            assert self.injector.verify(handle), "the rollback is not proven"
