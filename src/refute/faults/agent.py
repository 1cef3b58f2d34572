"""Faults between agents: what is handed over gets lost, garbled, turned round or thrown back; what comes back contradicts or boasts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from refute.core.system import ComponentKind
from refute.faults import _calls
from refute.faults._changes import rewritten, through_json
from refute.faults._data import changes, is_work
from refute.faults._results import TEXT_FIELDS
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import UNCHANGED, Call, PythonCall, PythonStrike, Strike
from refute.wire.request import with_body
from refute.wire.sse import read_json

_KINDS: frozenset[ComponentKind] = frozenset({"agent"})
_SILENCE = Magnitude("s", 0.01, 600.0, 60.0, "time from the handover to the time-out", log=True)
_GARBLED = Magnitude("%", 5.0, 95.0, 50.0, "share of each text that is lost from its end")
_silent, _silent_python = _calls.times_out(_SILENCE)

_CONTRADICTION = " On second thought, the opposite is true: what was said before does not hold, and must not be relied on."
_HANDED_BACK = "This is not for me to answer. I have handed the task back to you: please take it on and come back to me with the result."
_HEDGES = re.compile(
    r"\b(?:I (?:think|believe|guess|am not (?:entirely )?sure,? but)|perhaps|maybe|probably|possibly|might be|may be|it seems(?: that)?|"
    r"as far as I know,?)\s*",
    re.IGNORECASE,
)
_CONFIDENCES = ("confidence", "certainty", "probability", "score")
_WORDS = frozenset({*TEXT_FIELDS, "answer", "message", "output", "response", "result", "summary", "task", "input", "query", "question"})

Rewrite = Callable[[Any], Any]


def _on_arguments(did: str, change: Callable[[Any, float | None], Any]) -> dict[str, Any]:
    """Return the fields of a fault that changes what is handed over: the arguments of a function, or the JSON of a request."""

    def python(call: PythonCall, magnitude: float | None, _rng: random.Random) -> PythonStrike:
        args = tuple(_or_same(change(value, magnitude), value) for value in call.args)
        kwargs = {name: _or_same(change(value, magnitude), value) for name, value in call.kwargs.items()}
        return PythonStrike(did, arguments=(args, kwargs))

    def exchange(call: Call, magnitude: float | None, _rng: random.Random) -> Strike:
        body = change(read_json(call.request.body), magnitude)
        return Strike(did, request=with_body(call.request, body))

    def could_python(call: PythonCall) -> bool:
        return any(change(value, None) is not UNCHANGED for value in (*call.args, *call.kwargs.values()))

    def could(call: Call) -> bool:
        body = read_json(call.request.body)
        return body is not None and change(body, None) is not UNCHANGED

    return {"strike_exchange": exchange, "strike_python": python, "matches_exchange": could, "matches_python": could_python,
            "landing": "counted as the changed task is handed over"}  # fmt: skip


def _or_same(changed: Any, value: Any) -> Any:
    return value if changed is UNCHANGED else changed


def _corrupted(data: Any, magnitude: float | None) -> Any:
    kept = 1 - _GARBLED.or_typical(magnitude) / 100

    def cut(_name: str, value: Any) -> Any:
        return value[: int(len(value) * kept)] if isinstance(value, str) and " " in value else UNCHANGED

    return rewritten(data, cut)


def _reordered(data: Any, _magnitude: float | None) -> Any:
    """Reverse the first list of messages or tasks, in the data or one level down."""
    if isinstance(data, list) and len(data) > 1 and data != data[::-1]:
        return data[::-1]
    if isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, list) and _reordered(value, None) is not UNCHANGED:
                return data | {name: value[::-1]}
    return UNCHANGED


def _texts(change: Callable[[str], str]) -> Callable[[Any, float | None, random.Random], Any]:
    """Return a change of what an agent says: a plain text, or the texts under the names that answers have."""

    def changed(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
        def one(name: str, value: Any) -> Any:
            if not isinstance(value, str) or not value or (name and name not in _WORDS):
                return UNCHANGED
            new = change(value)
            return UNCHANGED if new == value else new

        return rewritten(data, one)

    return through_json(changed)


def _overconfident(data: Any, _magnitude: float | None, _rng: random.Random) -> Any:
    """Put every confidence to the top of its scale, and take the hedges out of texts."""

    def sure(name: str, value: Any) -> Any:
        if isinstance(value, str):
            new = _HEDGES.sub("", value)
            return UNCHANGED if new == value else new[:1].upper() + new[1:]
        if isinstance(value, int | float) and not isinstance(value, bool) and any(word in name.lower() for word in _CONFIDENCES):
            top = type(value)(100) if value > 1 else 0.99
            return UNCHANGED if value >= top else top
        return UNCHANGED

    return rewritten(data, sure)


def _dropped(_call: PythonCall, _magnitude: float | None, _rng: random.Random) -> PythonStrike:
    return PythonStrike("handover dropped", instead=lambda: None)


def _dropped_exchange(_call: Call, _magnitude: float | None, _rng: random.Random) -> Strike:
    return Strike("handover dropped", instead=_calls.json_reply(202, {"status": "accepted"}))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "agent.handoff_corrupted",
        "The task arrives at the other agent garbled.",
        _KINDS,
        "wrong_answer",
        **_on_arguments("task cut short", _corrupted),
        effect="texts of more than a word in the arguments, or in the JSON of the request, lose their end, as much as the magnitude "
        "says; the "
        "agent is called with what is left",
        belief="A task that makes no sense is asked about, not guessed at",
        source="MAST, Cemri et al. 2025 (arXiv:2503.13657): information lost between agents",
        magnitude=_GARBLED,
        typical_share=0.1,
    ),
    Fault(
        "agent.handoff_dropped",
        "The task never arrives at the other agent.",
        _KINDS,
        "wrong_answer",
        effect="a function is not called and gives None; over HTTP the answer is 202 `accepted`, and the agent is never asked",
        landing="counted as the empty answer is handed to the caller",
        belief="A task that was lost is noticed by whoever waits for it",
        source="MAST, Cemri et al. 2025 (arXiv:2503.13657): loss of conversation",
        typical_share=0.05,
        strike_exchange=_dropped_exchange,
        strike_python=_dropped,
    ),
    Fault(
        "agent.reordered",
        "The messages arrive in the wrong order.",
        _KINDS,
        "wrong_answer",
        **_on_arguments("messages reversed", _reordered),
        effect="the first list in the arguments, or in the JSON of the request, is reversed; the agent is called with it",
        belief="Messages out of order do not turn the answer round",
        source="queues without ordering; parallel branches that join",
        typical_share=0.05,
    ),
    Fault(
        "agent.contradiction",
        "The other agent contradicts itself.",
        _KINDS,
        "wrong_answer",
        **changes("contradiction added", _texts(lambda text: text + _CONTRADICTION)),
        effect=f"what the agent says goes on with:{_CONTRADICTION!r}",
        belief="A contradiction between agents is settled before the user sees an answer",
        source="MAST, Cemri et al. 2025 (arXiv:2503.13657): inter-agent misalignment",
        typical_share=0.1,
    ),
    Fault(
        "agent.delegation_loop",
        "The other agent hands the task back.",
        _KINDS,
        "availability",
        **changes("task handed back", _texts(lambda _text: _HANDED_BACK)),
        effect=f"what the agent says is replaced by: {_HANDED_BACK!r}",
        belief="Agents that pass a task to and fro are stopped within a bounded number of turns",
        source="MAST, Cemri et al. 2025 (arXiv:2503.13657): step repetition, no termination",
        typical_share=0.1,
        typical_draw="conversation",
    ),
    Fault(
        "agent.peer_silent",
        "The other agent does not answer.",
        _KINDS,
        "availability",
        effect="the caller waits for the magnitude and then hears of a time-out; the agent is never called",
        landing="counted as the time-out reaches the caller, or the caller gives up waiting",
        belief="An agent that is silent is done without, or its silence is told",
        source="agents that wait for people, queues or quota",
        magnitude=_SILENCE,
        typical_share=0.1,
        strike_exchange=_silent,
        strike_python=_silent_python,
        matches_exchange=is_work,
    ),
    Fault(
        "agent.peer_overconfident",
        "The other agent is surer than it should be.",
        _KINDS,
        "wrong_answer",
        **changes("certainty raised", through_json(_overconfident)),
        effect="numbers named confidence, certainty, probability or score go to the top of their scale (0.99 or 100), and hedges "
        "(`perhaps`, "
        "`I think`) are taken out of texts",
        belief="What one agent claims is checked by the next before it acts",
        source="calibration of language models: Kadavath et al. 2022 (arXiv:2207.05221)",
        typical_share=0.2,
    ),
)
