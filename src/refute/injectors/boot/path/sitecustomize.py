"""Joins the run that the environment names, or opens a door to runs; then hands over to the sitecustomize that this one hides, if any.

Any Python may come by here, old ones too, and environments that know nothing of Refute: what can be joined is, what cannot is told so.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _HERE]
_this = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - the one that this file hides
except ImportError:
    sys.modules["sitecustomize"] = _this


def _make_importable() -> None:
    """Make the Refute that this file belongs to importable where the environment has none, and nothing else of its surroundings."""
    from importlib.util import find_spec, module_from_spec, spec_from_file_location

    if find_spec("refute") is None:
        home = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
        spec = spec_from_file_location("refute", os.path.join(home, "__init__.py"), submodule_search_locations=[home])
        if spec is not None and spec.loader is not None:
            sys.modules["refute"] = module = module_from_spec(spec)
            spec.loader.exec_module(module)


def _begin() -> None:
    """Join, or stand by; whatever goes wrong, the program runs."""
    try:
        _make_importable()
        if "REFUTE_LINK" in os.environ:
            from refute.injectors.boot.join import join

            join()
        else:
            from refute.injectors.boot.stand import stand

            stand()
    except Exception as error:  # noqa: BLE001 - it is not the program's own
        sys.stderr.write(f"refute: process {os.getpid()} runs unarmed: {type(error).__name__}: {error}\n")


if "REFUTE_LINK" in os.environ or "REFUTE_EXEC" in os.environ:
    if sys.version_info >= (3, 11):  # noqa: UP036 - any Python may come by here
        _begin()
    else:
        sys.stderr.write(f"refute: process {os.getpid()} runs unarmed: Python {sys.version.split()[0]} is older than 3.11\n")
        os.environ.pop("REFUTE_LINK", None)  # what it starts is not told again
        os.environ.pop("REFUTE_EXEC", None)
