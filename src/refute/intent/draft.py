"""The first intent file of a project, drafted from what its sources show; what only people know is asked for in comments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from refute.intent.survey import Client, Survey

_NO_CLIENT = Client("llm", "https://api.openai.com/v1", "no client of a model was found")


def draft(name: str, found: Survey, traces: Sequence[str] = ()) -> str:
    """Return the text of an intent file.

    Args:
        name: of the system; what cannot stand in a name becomes a hyphen.
        found: what the sources show.
        traces: where the project's OTLP traces lie, as `system.traces` names them.
    """
    clients = found.clients or (_NO_CLIENT,)
    names = ["llm", *(f"llm-{number}" for number in range(2, len(clients) + 1))]
    holds, ends = ("answered >= 95%", "answered < 50%") if found.judging else ("latency p95 <= 10 s", "latency p95 > 30 s")
    lines = [
        "# Drafted by `refute init`. Correct it, then: refute check",
        "version: 1",
        "system:",
        f"  name: {_name(name)}",
        *([f"  traces: {json.dumps(list(traces))}"] if traces else []),
        "  components:",
        f"    app: {{kind: agent, calls: [{', '.join(names)}]}}",
    ]
    lines += [
        f"    {one}: {{kind: {client.kind}, endpoint: {json.dumps(client.endpoint)}}}  # {client.place}"
        for one, client in zip(names, clients, strict=True)
    ]
    lines += [
        "workload:",
        f"  python: {_chosen(found.answering, 'app:answer', 'a function that takes one case and returns an answer')}",
        f"  cases: {_chosen(found.cases, 'cases.jsonl', 'one real question a line, as a JSON object')}",
        "  rate: 5/s  # what your provider and your purse can bear",
        "indicators:",
        *([f"  answered: {{ratio: {json.dumps(found.judging[0])}}}{_others(found.judging)}"] if found.judging else []),
        "  latency: {latency: true}",
        f'steady_state: {{window: 10 s, holds: ["{holds}"]}}',
        f'stop_when: ["{ends}"]  # ends a run at once; put here what must not go on',
        "blast_radius: {cohort: 50%, units: 400}",
        "beliefs:",
        "  - id: rate-limits-absorbed",
        "    claim: Rate limits of the provider never reach the user",
        "    when: {fault: llm.rate_limit, target: llm, share: 30%}",
        f"    then: {holds}",
        "    confidence: 80%  # yours: how sure are you?",
        "    # decides: what you will do, or leave, because of the answer",
        "    # if_wrong: low, medium, high, severe, or money",
        "# more beliefs, ranked by what they could teach: refute suggest",
    ]
    return "\n".join(lines) + "\n"


def _name(folder: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-") or "my-system"


def _chosen(found: Sequence[str], otherwise: str, wanted: str) -> str:
    """Return the likeliest of what was found, with the others in a comment; where there is none, what is wanted."""
    return f"{json.dumps(found[0])}{_others(found)}" if found else f"{json.dumps(otherwise)}  # not found: {wanted}"


def _others(found: Sequence[str]) -> str:
    return f"  # or {', '.join(found[1:4])}" if len(found) > 1 else ""
