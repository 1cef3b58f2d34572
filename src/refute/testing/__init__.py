"""For authors of plug-ins: what every injector and every fault must do, as tests to inherit.

```python
from refute.testing import InjectorContract, in_unit

class TestMine(InjectorContract):
    injector = MyInjector()
    arming = Arming(Component("flags", "datastore"), "sample.flipped")

    def call(self):            # one call that the fault could hit; returns what its caller sees
        return read_flag("beta")
```
"""

from refute.testing.faults import check_fault
from refute.testing.injectors import InjectorContract, in_unit

__all__ = ["InjectorContract", "check_fault", "in_unit"]
