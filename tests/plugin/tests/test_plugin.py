"""The plug-in's own tests: it inherits the contract."""

from refute_sample import enabled
from refute_sample.faults import FLIPPED
from refute_sample.injector import INJECTOR

from refute.core.arming import Arming
from refute.core.system import Component
from refute.testing import InjectorContract, check_fault


class TestFlagInjector(InjectorContract):
    injector = INJECTOR
    arming = Arming(Component("flags", "datastore"), "flags.flipped")

    def call(self) -> bool:
        return enabled("beta")


def test_fault() -> None:
    check_fault(FLIPPED)
