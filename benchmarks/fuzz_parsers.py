"""How long what reads strangers' bytes stands up to fuzzing: the property tests of `tests/property`, over and over with other seeds.

    python benchmarks/fuzz_parsers.py [--cpu-minutes N] [--only NAME] [--memory-mib N] [--json]

Each test takes its turn for a thousand examples and a seed that is printed with a failure, until the processor time is used up. The
address space is bounded, so that memory which grows without bound ends the run as a failure. Exit code 1 where anything failed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import itertools
import json
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, seed, settings

ROOT = Path(__file__).parent.parent
MODULES = ("test_proxy_framing", "test_sse", "test_wire_hostile", "test_stdio")
EXAMPLES = 1000
BY_TURN = settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def tests(only: str) -> list[tuple[str, Callable[[], None]]]:
    """Return the property tests that need nothing but examples, by name."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "property")]
    found = []
    for name in MODULES:
        if (ROOT / "tests" / "property" / f"{name}.py").exists():
            module = importlib.import_module(name)
            found += [(f"{name}.{key}", one) for key, one in vars(module).items() if hasattr(one, "hypothesis")]
    return [(name, BY_TURN(one)) for name, one in found if only in name and not inspect.signature(one).parameters]


def main() -> int:
    """Fuzz, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-minutes", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--memory-mib", type=int, default=2048)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (asked.memory_mib << 20, asked.memory_mib << 20))
    examples: Counter[str] = Counter()
    failures: list[dict[str, str | int]] = []
    chosen, start = tests(asked.only), int(time.time())
    for number, (name, test) in zip(itertools.count(start), itertools.cycle(chosen), strict=False):
        if time.process_time() > asked.cpu_minutes * 60:
            break
        try:
            seed(number)(test)()
        except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for
            failures.append({"test": name, "seed": number, "error": traceback.format_exc(limit=-6)})
            print(f"{name} with seed {number}:\n{failures[-1]['error']}", file=sys.stderr, flush=True)
        examples[name] += EXAMPLES
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = {
        "cpu_minutes": time.process_time() / 60, "examples": sum(examples.values()), "by_test": dict(examples), "peak_mib": peak_mib,
        "failures": failures,
    }  # fmt: skip
    line = f"{told['cpu_minutes']:.1f} CPU minutes, {told['examples']:,} examples of {len(examples)} tests, {peak_mib} MiB at most"
    print(json.dumps(told) if asked.json else f"{line}; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
