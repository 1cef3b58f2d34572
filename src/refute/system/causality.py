"""One trace: which component each span is, who called whom, and what came again after it had failed.

Clocks of different programs are never compared to find causes: parents do that. Where a parent is missing or spans cause each other in a
circle, what hangs below is kept, but no journey begins there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from refute.system.roles import Node, Role, role_of, service_role
from refute.system.span import CLIENT, CONSUMER, SERVER, Span


@dataclass(slots=True)
class Trace:
    """One trace, resolved.

    Attributes:
        spans: by identifier, each once.
        nodes: component of each span.
        roles: role of each span.
        below: children of each span.
        roots: spans that nothing caused.
        queues: queue of each span that took something from one.
        duplicates: spans that came more than once.
        orphans: spans whose parent is not there.
        circular: spans that cause themselves.
    """

    spans: dict[str, Span]
    nodes: dict[str, Node] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    below: dict[str, list[Span]] = field(default_factory=dict)
    roots: list[Span] = field(default_factory=list)
    queues: dict[str, Node] = field(default_factory=dict)
    duplicates: int = 0
    orphans: int = 0
    circular: int = 0

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Trace:
        """Resolve the spans of one trace, in any order."""
        trace = cls({span.id: span for span in spans})
        trace.duplicates = len(spans) - len(trace.spans)
        heads = []
        for span in trace.spans.values():
            trace.roles[span.id] = role_of(span)
            if span.parent in trace.spans:
                trace.below.setdefault(span.parent, []).append(span)
            else:
                heads.append(span)
        trace.roots = [span for span in heads if not span.parent]
        trace.orphans = len(heads) - len(trace.roots)
        for head in heads:
            trace._resolve(head)
        for span in trace.spans.values():
            if span.id not in trace.nodes:
                trace.circular += 1
                trace._resolve(span)
        return trace

    def parent(self, span: Span) -> Span | None:
        """Return the span that caused another, where it is there."""
        return self.spans.get(span.parent)

    def _resolve(self, head: Span) -> None:
        """Give a component to a span and to all below it, callers first."""
        waiting: list[tuple[Span, Span | None]] = [(head, None)]
        while waiting:
            span, above = waiting.pop()
            if span.id not in self.nodes:
                self.roles[span.id] = self._role(span, above)
                waiting += [(child, span) for child in self.below.get(span.id, ())]

    def _role(self, span: Span, above: Span | None) -> Role:
        """Return what a span is, its surroundings considered, and note its component."""
        role = self.roles[span.id]
        inner = self._other_side(span)
        if span.kind == CONSUMER and role.typed:
            self.queues[span.id] = role.node
            role = service_role(span.service)
        elif above is not None and not role.typed and self._belongs(span, role, above, inner):
            outer = self.roles[above.id]
            role = outer if span.kind != SERVER else Role(outer.node, remote=False, typed=True)
        elif inner is not None and (role.remote or span.kind == CLIENT) and (not role.typed or inner.kind == role.node.kind):
            role = Role(inner, remote=True, typed=role.typed)
        self.nodes[span.id] = role.node
        return role

    def _belongs(self, span: Span, role: Role, above: Span, inner: Node | None) -> bool:
        """Say whether a plain span is part of what the span above it does, or the other side of that call."""
        outer = self.roles[above.id]
        if span.kind == SERVER:
            return outer.remote and outer.typed
        if span.kind == CONSUMER or span.service != above.service:
            return False
        return outer.remote or (not role.remote and (span.kind != CLIENT or inner is None))

    def _other_side(self, span: Span, depth: int = 4) -> Node | None:
        """Return the component that answered a call, where it has a span of its own; tries of the call may stand between."""
        if span.kind != CLIENT or not depth:
            return None
        for child in self.below.get(span.id, ()):
            role = self.roles[child.id]
            if child.kind == SERVER:
                return role.node
            if child.kind == CLIENT and not role.typed and (found := self._other_side(child, depth - 1)) is not None:
                return found
        return None

    def calls(self) -> Iterator[tuple[Node, Node, list[Span]]]:
        """Yield caller, callee and the spans below one of the caller's spans that call it alike, in the order of their starts."""
        for number, queue in self.queues.items():
            yield queue, self.nodes[number], [self.spans[number]]
        for number, children in self.below.items():
            caller = self.nodes[number]
            alike: dict[tuple[Node, str], list[Span]] = {}
            for child in children:
                if self.nodes[child.id] != caller and child.id not in self.queues:
                    alike.setdefault((self.nodes[child.id], child.name), []).append(child)
            for (callee, _), spans in alike.items():
                yield caller, callee, sorted(spans, key=lambda one: one.start_ns)

    def tries(self, span: Span) -> list[Span]:
        """Return how a call was made: each try below it, in the order of their starts; empty where that is not told."""
        found: list[Span] = []
        waiting = [span]
        while waiting:
            for child in self.below.get(waiting.pop().id, ()):
                if child.service == span.service and self.nodes[child.id] == self.nodes[span.id]:
                    (found if child.kind == CLIENT else waiting).append(child)
        return sorted(found, key=lambda one: one.start_ns)

    def skewed(self) -> int:
        """Return how many calls were answered, by the clocks, before they began or after they ended."""
        count = 0
        for span in self.spans.values():
            parent = self.parent(span)
            if parent is not None and span.kind == SERVER and parent.kind == CLIENT:
                count += span.start_ns < parent.start_ns or span.end_ns > parent.end_ns
        return count
