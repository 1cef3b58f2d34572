"""Learns a system from its traces: components, calls, how often, how they fail, and what users do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from refute.system.causality import Trace
from refute.system.otlp import read_spans
from refute.system.roles import Node, failed, timed_out
from refute.system.seen import Durations, Quality, SeenCall, SeenComponent, SeenJourney, SeenSystem
from refute.system.span import CLIENT, PRODUCER, Span
from refute.system.trace_store import traces

_MOST_JOURNEYS: Final = 50  # the rest is counted together: names that hold identifiers would have no end
_MOST_NAMES: Final = 10_000
_OTHER: Final = "other"
_IDENTIFIER: Final = re.compile(r"/(?:\d+|[0-9a-fA-F]{8,}|[0-9a-fA-F-]{36})(?=/|$)")
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


def learn(files: Iterable[Path]) -> SeenSystem:
    """Learn a system from OTLP files.

    Args:
        files: in any order; those of several programs together.

    Raises:
        RefuteError: a file cannot be read.
    """
    return learn_from(span for file in files for span in read_spans(file))


def learn_from(spans: Iterable[Span]) -> SeenSystem:
    """Learn a system from spans, in any order."""
    learner = _Learner()
    for trace in traces(spans):
        learner.add(Trace.of(trace))
    return learner.seen()


@dataclass(slots=True)
class _Calls:
    """Calls from one component to another, so far."""

    count: int = 0
    traces: int = 0
    errors: int = 0
    retries: int = 0
    timeouts: int = 0
    last_trace: int = -1
    durations: Durations = field(default_factory=Durations)
    timeout_durations: Durations = field(default_factory=Durations)

    def add(self, trace: Trace, number: int, spans: list[Span]) -> None:
        """Count calls that were made from one place, one after the other."""
        again = sum(failed(earlier) for earlier in spans[:-1])
        resent = sum(bool(span.attributes.get("http.request.resend_count")) for span in spans)
        tries = [each for span in spans for each in trace.tries(span)]
        again = min(len(spans) - 1, max(again, resent))
        self.retries += again + sum(max(0, len(trace.tries(span)) - 1) for span in spans) if tries else again
        self.count += len(spans) - again
        self.traces += self.last_trace != number
        self.last_trace = number
        for span in spans:
            self.durations.add(span.seconds)
        for made in _made(trace, spans):
            self.errors += failed(made)
            if timed_out(made):
                self.timeouts += 1
                self.timeout_durations.add(made.seconds)

    def merge(self, other: _Calls) -> None:
        """Count all of another's."""
        self.count += other.count
        self.traces += other.traces
        self.errors += other.errors
        self.retries += other.retries
        self.timeouts += other.timeouts
        self.durations.merge(other.durations)
        self.timeout_durations.merge(other.timeout_durations)

    def seen(self) -> SeenCall:
        """Return what they came to."""
        middle, high = self.durations.quantile(0.5), self.durations.quantile(0.95)
        limit = self.timeout_durations.quantile(0.5)
        return SeenCall(self.count, self.traces, self.errors, self.retries, self.timeouts, limit, middle or 0.0, high or 0.0)


def _made(trace: Trace, spans: list[Span]) -> list[Span]:
    """Return the spans that tell how calls ended: the tries where they are told, the call itself otherwise."""
    return [each for span in spans for each in (trace.tries(span) or [span])]


class _Learner:
    def __init__(self) -> None:
        self._nodes: Counter[Node] = Counter()
        self._calls: dict[tuple[Node, Node], _Calls] = {}
        self._journeys: Counter[tuple[Node, str]] = Counter()
        self._met: Counter[Node] = Counter()
        self._models: dict[Node, set[str]] = {}
        self._answered: dict[str, Counter[Node]] = {}
        self._counts = Counter[str]()

    def add(self, trace: Trace) -> None:
        """Take one trace."""
        self._counts.update(
            spans=len(trace.spans), traces=1, duplicates=trace.duplicates, missing_parents=trace.orphans, cycles=trace.circular,
            skewed=trace.skewed(),
        )  # fmt: skip
        met = {*trace.nodes.values(), *trace.queues.values()}
        self._nodes.update(met)
        for caller, callee, spans in trace.calls():
            self._calls.setdefault((caller, callee), _Calls()).add(trace, self._counts["traces"], spans)
        for span in trace.spans.values():
            self._note(span, trace)
        roots = [root for root in trace.roots if not (root.linked and root.id in trace.queues)]
        for root in roots:
            self._journeys[self._entry(trace, root)] += 1
        if roots:
            self._met.update(met)
            self._counts["rooted"] += 1

    def _note(self, span: Span, trace: Trace) -> None:
        """Remember which model answered, and which component answers at an address."""
        node, role = trace.nodes[span.id], trace.roles[span.id]
        if model := span.text("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name"):
            self._models.setdefault(node, set()).add(model)
        if span.kind == CLIENT and node.address != span.address and (role.typed or node.kind == "service") and span.address:
            self._answered.setdefault(span.address, Counter())[node] += 1

    def _entry(self, trace: Trace, root: Span) -> tuple[Node, str]:
        node = trace.nodes[root.id]
        name = _journey_name(root)
        if len(self._journeys) >= _MOST_NAMES and (node, name) not in self._journeys:
            name = _OTHER
        return node, name

    def seen(self) -> SeenSystem:
        """Return what all traces came to."""
        same = self._same()
        met: Counter[Node] = Counter()
        for node, count in self._met.items():
            met[same.get(node, node)] = max(met[same.get(node, node)], count)
        names = _names({same.get(node, node) for node in self._nodes}, self._nodes)
        calls = self._merged(same)
        rooted = max(1, self._counts["rooted"])
        components = {
            name: SeenComponent(
                name, node.kind, _by_count({names[callee]: made.seen() for (caller, callee), made in calls.items() if caller == node}),
                min(1.0, met[node] / rooted), node.address or self._address(node), tuple(sorted(self._models.get(node, ()))),
            )
            for node, name in sorted(names.items(), key=lambda one: one[1])
        }  # fmt: skip
        quality = Quality(**{name: self._counts[name] for name in Quality.__slots__})
        return SeenSystem(components, self._seen_journeys({node: names[same.get(node, node)] for node in self._nodes}), quality)

    def _address(self, node: Node) -> str:
        found = [address for address, answered in self._answered.items() if set(answered) == {node}]
        return found[0] if len(found) == 1 else ""

    def _same(self) -> dict[Node, Node]:
        """Return the components that go by another one's name.

        Hosts whose other side is in no span are the component that answers there in other traces; what has no address is the one that
        has, where there is but one of that name.
        """
        known = {address: answered.most_common(1)[0][0] for address, answered in self._answered.items()}
        typed = {node.address: node for node in self._nodes if node.address and node.kind != "service"}
        hosts = (node for node in self._nodes if node.kind == "service" and node.address)
        found = {host: to for host in hosts if (to := typed.get(host.address) or known.get(host.address)) is not None and to != host}
        placed: dict[tuple[str, str], list[Node]] = {}
        for node in self._nodes:
            if node.address and node not in found:
                placed.setdefault((node.kind, node.name), []).append(node)
        alike = {node: placed.get((node.kind, node.name), []) for node in self._nodes if not node.address}
        return found | {node: others[0] for node, others in alike.items() if len(others) == 1}

    def _merged(self, same: Mapping[Node, Node]) -> dict[tuple[Node, Node], _Calls]:
        found: dict[tuple[Node, Node], _Calls] = {}
        for (caller, callee), made in self._calls.items():
            pair = same.get(caller, caller), same.get(callee, callee)
            if pair[0] != pair[1]:
                found.setdefault(pair, _Calls()).merge(made)
        return found

    def _seen_journeys(self, names: Mapping[Node, str]) -> dict[str, SeenJourney]:
        total = max(1, self._journeys.total())
        found: dict[str, SeenJourney] = {}
        for place, ((node, name), count) in enumerate(self._journeys.most_common()):
            entry = names[node]
            wanted = _OTHER if place >= _MOST_JOURNEYS else _slug(name)
            if wanted in found and (found[wanted].entry != entry and wanted != _OTHER):
                wanted = f"{wanted}-{entry}"
            count += found[wanted].count if wanted in found else 0  # noqa: PLW2901  # of the same name so far
            found[wanted] = SeenJourney(wanted, entry if wanted not in found else found[wanted].entry, count, count / total)
        return found


def _by_count(calls: Mapping[str, SeenCall]) -> dict[str, SeenCall]:
    return dict(sorted(calls.items(), key=lambda one: (-one[1].count, one[0])))


def _journey_name(root: Span) -> str:
    """Return what users did: the route of a request, the agent or workflow that was asked, or the span's name."""
    path = root.text("http.route") or _IDENTIFIER.sub("/id", root.text("url.path", "http.target").partition("?")[0])
    if path and root.kind not in {CLIENT, PRODUCER}:
        return path.strip("/") or "root"
    return root.text("gen_ai.agent.name", "gen_ai.workflow.name") or root.name


def _names(nodes: set[Node], counts: Mapping[Node, int]) -> dict[Node, str]:
    """Return a name for each component that an intent can hold, each once; who is met most gets the plainest."""
    taken: set[str] = set()
    found = {}
    for node in sorted(nodes, key=lambda one: (-counts[one], one)):
        plain = _slug(node.name)
        candidates = (plain, f"{plain}-{node.kind}", *(f"{plain}-{number}" for number in range(2, len(nodes) + 3)))
        found[node] = next(name for name in candidates if name not in taken)
        taken.add(found[node])
    return found


def _slug(name: str) -> str:
    plain = _NOT_A_NAME.sub("-", name).strip("-")[:70]
    return plain if plain[:1].isalpha() or plain[:1] == "_" else f"at-{plain}"
