"""Joins the link that the environment names, then hands over to the sitecustomize that this one hides, if there is one."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _HERE]
_this = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - the one that this file hides
except ImportError:
    sys.modules["sitecustomize"] = _this

if "REFUTE_LINK" in os.environ:
    from refute.injectors.boot.join import join

    join()
