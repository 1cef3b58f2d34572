"""An intent that is valid, the catalogue that it needs, and a way to try what happens when something in it changes."""

import shutil
from pathlib import Path

from refute.core.errors import Problem, RefuteError
from refute.faults.spec import Fault, Magnitude
from refute.intent import load
from refute.wire.exchange import PythonStrike, Strike

ASSISTANT = Path(__file__).parent / "assistant"
VALID = (ASSISTANT / "refute.yaml").read_text()


def fault(name, kinds, *, hazard="availability", magnitude=None, seams=("exchange", "python")):
    return Fault(
        name=name,
        summary="Breaks something.",
        kinds=frozenset(kinds),
        hazard=hazard,
        effect="something breaks",
        landing="it broke",
        belief="it does no harm",
        source="tests",
        magnitude=magnitude,
        strike_exchange=(lambda _call, _magnitude, _rng: Strike("broken")) if "exchange" in seams else None,
        strike_python=(lambda _call, _magnitude, _rng: PythonStrike("broken")) if "python" in seams else None,
    )


_DELAY = Magnitude("s", 0.01, 120.0, 2.0, "time added", log=True)
FAULTS = {
    each.name: each
    for each in (
        fault("llm.rate_limit", ["llm"], seams=("exchange",)),
        fault("llm.token_spike", ["llm"], magnitude=Magnitude("1", 2, 100, 10, "factor"), seams=("exchange",)),
        fault("retriever.delay", ["retriever"], magnitude=_DELAY),
        fault("retriever.truncated", ["retriever"], magnitude=Magnitude("%", 1, 100, 50, "results lost")),
        fault("tool.wrong_entity", ["tool"], hazard="wrong_answer", seams=("python",)),
        fault("service.delay", ["service"], magnitude=_DELAY),
        fault("process.kill", ["service"], seams=()),
    )
}


def project(folder, text=VALID):
    """Copy the assistant into a folder with this intent and return the file's path."""
    shutil.copytree(ASSISTANT, folder, dirs_exist_ok=True)
    path = folder / "refute.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path, **options) -> tuple[Problem, ...]:
    """Load an intent and return its problems; none where it is valid."""
    try:
        load(path, faults=FAULTS, **options)
    except RefuteError as error:
        return error.problems
    return ()


def changed(old, new, text=VALID):
    """Return the valid text with one change, and the line where the change begins."""
    assert text.count(old) >= 1, old
    at = text.index(old)
    return text[:at] + new + text[at + len(old) :], text.count("\n", 0, at) + 1
