"""What calls what, in which order, and instead of what: read from the calls that runs made.

A handler is what a component does when it is called: a list of slots, one a call that it makes. When a call fails the handler may make
others instead (a retry is one to the same site). All of this is learned by laying the calls of a run over what is known so far; how a
handler *responds* to a failure is left to `responses`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from refute.learning.propagation.space import Call, Run, Site

ROOT_METHOD = ""


class Handler(NamedTuple):
    """What answers a call.

    Attributes:
        site: of the call that it answers; without caller for the entry point.
        occurrence: 0 where all calls of the site are answered alike so far, else which one.
    """

    site: Site
    occurrence: int


class Slot(NamedTuple):
    """A place in a handler where one call is made.

    Attributes:
        handler: in which it is.
        place: position in the handler when nothing fails.
        attempt: 1, or one more than the attempt whose failure led here.
        part: position among the calls that are made instead of a failed one.
    """

    handler: Handler
    place: int
    attempt: int = 1
    part: int = 0


@dataclass(slots=True)
class Made:
    """A call that a run made, with those that its handler made.

    Attributes:
        call: which one.
        faulted: whether a fault struck it.
        inner: calls of its handler.
    """

    call: Call
    faulted: bool
    inner: list[Made] = field(default_factory=list)

    @property
    def suspect(self) -> bool:
        """Whether it may have failed: it was struck, or something below it was."""
        return self.faulted or any(made.suspect for made in self.inner)


def tree_of(run: Run, calls: Mapping[str, Call]) -> list[Made]:
    """Return the entry point's calls, each with what was called in turn.

    A call belongs to the latest open one whose callee makes it; where calls interleave, to the latest whose callee does; where there is
    none, to the entry point, so that cycles and disconnected parts do no harm.

    Args:
        run: with its calls in order.
        calls: by id.
    """
    struck = {fault.call for fault in run.faults}
    roots: list[Made] = []
    stack: list[Made] = []
    answering: dict[str, Made] = {}
    for name in run.calls:
        made = Made(calls[name], name in struck)
        caller = made.call.site.caller
        while stack and stack[-1].call.site.callee != caller:
            stack.pop()
        parent = stack[-1] if stack else answering.get(caller)
        (roots if parent is None else parent.inner).append(made)
        if not made.faulted:
            stack.append(made)
            answering[made.call.site.callee] = made
    return roots


@dataclass(slots=True)
class Structure:
    """What is known of an application's calls.

    Attributes:
        root: handler of the entry point.
        calls: known ones by id.
        templates: sites that a handler calls when nothing fails.
        alternates: sites that are called when the one of a slot has failed.
        version: grows with everything learned.
    """

    root: Handler
    calls: dict[str, Call] = field(default_factory=dict)
    templates: dict[Handler, tuple[Site, ...]] = field(default_factory=dict)
    alternates: dict[Slot, tuple[Site, ...]] = field(default_factory=dict)
    version: int = 0
    _names: dict[tuple[Site, int], str] = field(default_factory=dict)
    _provisional: set[Handler] = field(default_factory=set)
    _by_callee: dict[str, Handler] = field(default_factory=dict)
    _answered: set[Handler] = field(default_factory=set)

    def know(self, calls: Iterable[Call]) -> None:
        """Add calls that exist."""
        for call in calls:
            if call.id not in self.calls:
                self.calls[call.id] = call
                self._names[call.site, call.occurrence] = call.id
                self.version += 1

    def name(self, site: Site, occurrence: int) -> str:
        """Return the id of a call, or a made-up one where it was never seen."""
        return self._names.get((site, occurrence)) or f"{site.caller}>{site.callee} {site.method} #{occurrence}"

    def handler(self, site: Site, occurrence: int) -> Handler:
        """Return what answers a call: its own handler, that of its site, or of any call to the same component."""
        for key in (Handler(site, occurrence), Handler(site, 0)):
            if key in self.templates:
                return key
        return self._by_callee.get(site.callee, Handler(site, 0))

    def site_of(self, slot: Slot) -> Site | None:
        """Return where a slot's call goes, None where the slot is not known."""
        if slot.attempt == 1:
            template = self.templates.get(slot.handler, ())
            return template[slot.place] if slot.place < len(template) else None
        for part in range(16):
            instead = self.alternates.get(Slot(slot.handler, slot.place, slot.attempt - 1, part), ())
            if slot.part < len(instead):
                return instead[slot.part]
        return None

    def slots(self) -> list[Slot]:
        """Return every slot that is known, first attempts first."""
        first = [Slot(key, index) for key, sites in self.templates.items() for index in range(len(sites))]
        later = [
            Slot(slot.handler, slot.place, slot.attempt + 1, part) for slot, sites in self.alternates.items() for part in range(len(sites))
        ]
        return list(dict.fromkeys(first + sorted(later, key=lambda slot: slot.attempt)))  # two alternates may lead to one slot

    def learn(self, run: Run) -> bool:
        """Lay a run over what is known.

        Args:
            run: its calls must be known.

        Returns:
            Whether anything was new.
        """
        before = self.version
        self._learn_handler(self.root, tree_of(run, self.calls))
        return self.version != before

    def _learn_handler(self, key: Handler, made: list[Made]) -> None:
        self._learn_template(key, made)
        template = self.templates[key]
        cursor, failed, part = 0, None, 0
        for one in made:
            site = one.call.site
            instead = () if failed is None else self.alternates.get(failed, ())
            if failed is not None and part < len(instead) and site == instead[part]:
                slot, part = Slot(key, failed.place, failed.attempt + 1, part), part + 1
            elif site in template[cursor:]:
                index = template.index(site, cursor)
                slot, cursor = Slot(key, index), index + 1
            elif failed is not None:
                slot, part = Slot(key, failed.place, failed.attempt + 1, len(instead)), len(instead) + 1
                self._set_alternates(failed, (*instead, site))
            else:
                continue
            if one.suspect:
                failed, part = slot, 0
            if not one.faulted:
                self._learn_handler(self._handler_to_learn(one), one.inner)

    def _set_alternates(self, failed: Slot, sites: tuple[Site, ...]) -> None:
        self.alternates[failed] = sites
        self.version += 1

    def _handler_to_learn(self, made: Made) -> Handler:
        """Return the handler of a call: one of its own where it answers otherwise than the rest of its site when nothing fails."""
        own, general = Handler(made.call.site, made.call.occurrence), Handler(made.call.site, 0)
        if own in self.templates:
            return own
        sites = tuple(inner.call.site for inner in made.inner)
        settled = general in self.templates and general not in self._provisional
        differs = settled and not made.suspect and sites != self.templates[general] and own not in self._answered
        if not made.suspect:
            self._answered.add(own)
        return own if differs else general

    def _learn_template(self, key: Handler, made: list[Made]) -> None:
        suspect = any(one.suspect for one in made)
        if key in self.templates and (suspect or key not in self._provisional):
            return
        self.templates[key] = tuple(one.call.site for one in made)
        self._by_callee.setdefault(key.site.callee, key)
        (self._provisional.add if suspect else self._provisional.discard)(key)
        self.version += 1


def structure_of(calls: Mapping[str, Call], steady: Run) -> Structure:
    """Return what the run without faults shows.

    Args:
        calls: at least those that the run made.
        steady: without faults.
    """
    entry = calls[steady.calls[0]].site.caller if steady.calls else ""
    structure = Structure(Handler(Site("", entry, ROOT_METHOD), 0))
    structure.know(calls[name] for name in steady.calls)
    structure.learn(steady)
    return structure
