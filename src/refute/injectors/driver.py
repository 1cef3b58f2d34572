"""Carries a fault out on one HTTP exchange, without I/O: an adapter (sync, async, a proxy) does what this script asks for.

The script is a generator. It yields `Hold`, `Send`, `ASK` and `READ`, is sent what came of them, and returns how to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

from refute.core.context import UnitContext
from refute.faults.spec import Awaits, Fault
from refute.injectors._calls import Attempt, Hit
from refute.injectors._memory import Memory, identity_of_call
from refute.injectors.switch import Switch
from refute.wire import framing
from refute.wire.codec import Codec, recognise
from refute.wire.events import StreamEvent
from refute.wire.exchange import FRAMING, Call, Failure, Headers, Pause, Reply, Request, Step, StreamRewriter, Strike, without


class View(Protocol):
    """A request as an adapter sees it; what is dear is read when it is asked for."""

    def attempt(self) -> int:
        """Return the number of the attempt where the client says so, else -1."""
        ...

    @property
    def read_timeout_s(self) -> float | None:
        """Longest silence that the client bears; None for any."""
        ...

    def identity(self) -> str | int:
        """Return what stays the same between the attempts of one logical call."""
        ...

    def codec(self) -> Codec:
        """Return the codec that the request calls for, by its head alone."""
        ...

    def request(self) -> Request:
        """Return the whole request."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of upstream's reply.

    Attributes:
        status: status code.
        content_type: media type, with its parameters.
    """

    status: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Be silent for so long, unless the lease ends; send back True where the whole time passed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request on in the place of the caller's; send back what `ASK` does."""

    request: Request


class Do(Enum):
    """What else a script asks of its adapter."""

    ASK = "send the request on; send back the reply's `Head`, or throw what it raised"
    READ = "read upstream's reply to its end; send back the decoded `Reply`"


ASK, READ = Do.ASK, Do.READ

_WITHOUT = "whose answer has nothing that it strikes"

Script = Generator[Hold | Send | Do, Any, "Reply | Failure | Pump | None"]


@dataclass(frozen=True, slots=True)
class Aim:
    """One armed fault.

    Attributes:
        fault: what it does.
        magnitude: how hard.
        switch: decides and counts.
        stand_in: see `Call.stand_in`.
        memory: of real answers, for a fault that remembers.
    """

    fault: Fault
    magnitude: float | None
    switch: Switch
    stand_in: str = ""
    memory: Memory = field(default_factory=lambda: Memory(0))

    def call(self, view: View) -> Call:
        """Return what a request means."""
        call = recognise(view.request())[1]
        return replace(call, stand_in=self.stand_in) if self.stand_in else call


def script(aim: Aim, view: View) -> Script | Attempt | None:
    """Return what is to be done with one exchange.

    Args:
        aim: the armed fault.
        view: the request.

    Returns:
        A script; or the attempt, where it is not hit and only wants to know whether it failed by itself; or None, where no
        fault may touch it.
    """
    fault = aim.fault
    if fault.matches_exchange is not None and not fault.matches_exchange(aim.call(view)):
        aim.switch.could_not("that ask for something else than it strikes")
        return None
    unit = aim.switch.unit_of_call()
    if unit is None:
        return None
    if fault.awaits is not None:
        return _on_reply(aim, view, unit)
    attempt = aim.switch.attempt(unit, view.identity(), view.attempt)
    if attempt is None:
        return None
    if attempt.hit is not None:
        return _hit(aim, view, attempt, attempt.hit)
    return _named(aim, view, attempt) if aim.switch.curious else attempt


def _missed(attempt: Attempt, ask: Do | Send = ASK) -> Script:
    """Pass the exchange on; note whether it failed by itself."""
    try:
        head = yield ask
    except BaseException:
        attempt.ended(failed=True)
        raise
    attempt.ended(failed=head.status >= 400)
    return None


def _named(aim: Aim, view: View, attempt: Attempt) -> Script:
    """Do what `_missed` does, and note the model that the reply names."""
    aim.switch.will_read()
    try:
        head: Head = yield ASK
    except BaseException:
        attempt.ended(failed=True)
        raise
    attempt.ended(failed=head.status >= 400)
    if not 200 <= head.status < 300:
        return None
    codec, switch = view.codec(), aim.switch
    if not is_stream(head):
        reply: Reply = yield READ
        switch.answered(codec.model(reply))
        return None

    def named(event: StreamEvent) -> bool:
        if event.model:
            switch.answered(event.model)
        return bool(event.model)

    pump = Pump(switch)
    pump.watch(codec, named, lambda: None)
    return pump


def _hit(aim: Aim, view: View, attempt: Attempt, hit: Hit) -> Script:
    """Carry out a strike that was decided before the request was sent."""
    strike = _strike(aim, aim.call(view), hit)
    if strike is None:
        return (yield from _missed(attempt))
    if strike.hold_s > 0:
        ended = yield from _hold(aim, view, hit, strike)
        if ended is not None:
            return ended
    if not aim.switch.lease.lasts():
        if strike.hold_s <= 0:  # a hold that the end cuts short is counted where it is cut
            aim.switch.cut_off()
        return (yield from _missed(attempt))
    if strike.instead is not None:
        aim.switch.delivered(hit, strike.effect)
        return strike.instead
    if strike.twice:
        yield ASK
        yield READ
    if strike.rewrite_reply is not None or strike.rewrite_stream is not None:
        head = yield ASK if strike.request is None else Send(strike.request)
        return (yield from _rewritten(aim, head, hit, strike))
    aim.switch.delivered(hit, strike.effect)
    return (yield from _missed(attempt, ASK if strike.request is None else Send(strike.request)))


def _hold(aim: Aim, view: View, hit: Hit, strike: Strike) -> Generator[Hold, bool, Failure | None]:
    """Be silent; say how it ended where the client bears less silence than that."""
    limit_s = view.read_timeout_s
    runs_out = limit_s is not None and limit_s <= strike.hold_s
    try:
        whole = yield Hold(limit_s if runs_out and limit_s is not None else strike.hold_s)
    except BaseException:
        aim.switch.delivered(hit, strike.effect)  # the caller would not wait any longer: it felt the silence
        raise
    if whole and runs_out:
        aim.switch.delivered(hit, strike.effect)
        return Failure.READ_TIMEOUT
    return None


def _rewritten(aim: Aim, head: Head, hit: Hit, strike: Strike) -> Script:
    """Change a reply that came from upstream, as a stream or whole."""
    if strike.rewrite_stream is not None and (is_stream(head) or strike.rewrite_reply is None):
        pump = Pump(aim.switch)
        pump.strike(hit, strike)
        return pump
    if strike.rewrite_reply is None or (is_stream(head) and not strike.gather):
        return None
    reply: Reply = yield READ
    return _changed(aim, reply, hit, strike)


def _changed(aim: Aim, reply: Reply, hit: Hit, strike: Strike) -> Reply | None:
    if strike.rewrite_reply is None:
        return None
    if not aim.switch.lease.lasts():
        aim.switch.cut_off()
        return None
    changed = strike.rewrite_reply(reply)
    if changed is reply:
        return None
    aim.switch.delivered(hit, strike.effect)
    return changed


def _on_reply(aim: Aim, view: View, unit: UnitContext) -> Script:
    """Pass the exchange on, and decide once its reply has what the fault awaits."""
    awaits = aim.fault.awaits
    head: Head = yield ASK
    if awaits is None or not aim.switch.lease.lasts():
        return None
    if unfit := _unfit(awaits, head):
        aim.switch.could_not(unfit)
        return None
    codec, known = view.codec(), _Known(aim, aim.call(view))

    def decide() -> tuple[Hit, Strike] | None:
        attempt = aim.switch.attempt(unit, view.identity(), view.attempt)
        if attempt is None or attempt.hit is None:
            return None
        strike = _strike(aim, known.call, attempt.hit)
        return None if strike is None else (attempt.hit, strike)

    if is_stream(head):
        pump = Pump(aim.switch)
        pump.watch(codec, known.has_event(codec, awaits), decide)
        return pump
    reply: Reply = yield READ
    if not known.has(codec, awaits, reply):
        aim.switch.could_not(_WITHOUT)
        return None
    decided = decide()
    return None if decided is None else _changed(aim, reply, *decided)


class _Known:
    """A call beside what was answered before, for faults that remember; the real answers to it are kept as they come.

    Args:
        aim: the armed fault.
        call: what is asked.

    Attributes:
        call: the same with what is known.
    """

    __slots__ = ("_identity", "_memory", "call")

    def __init__(self, aim: Aim, call: Call) -> None:
        self.call, self._memory = call, aim.memory
        if self._memory.size:
            self._identity = identity_of_call(call)
            earlier, first = self._memory.others(self._identity), self._memory.first(self._identity)
            self.call = replace(call, earlier=earlier, first=first)

    def has(self, codec: Codec, awaits: Awaits, reply: Reply) -> bool:
        """Say whether a whole reply has what is awaited."""
        if self._memory.size:
            self._memory.keep(self._identity, codec.data(self.call, reply))
        return awaits.has(codec, self.call, reply)

    def has_event(self, codec: Codec, awaits: Awaits) -> Callable[[StreamEvent], bool]:
        """Return what says whether a streamed event has it."""
        if awaits.data is None:
            assert awaits.event is not None
            return awaits.event
        wanted = awaits.data

        def has(event: StreamEvent) -> bool:
            data = codec.event_data(self.call, event) if event.terminal and not event.error else None
            if data is None:
                return False
            self._memory.keep(self._identity, data)
            return wanted(self.call, data)

        return has


def _unfit(awaits: Awaits, head: Head) -> str:
    """Say what a reply is that the fault can never hit, from its head alone; "" where it may."""
    if not 200 <= head.status < 300:
        return f"that were answered with status {head.status}"
    if is_stream(head):
        return "" if awaits.event or awaits.data else "that were answered by a stream"
    return "" if awaits.answer or awaits.reply or awaits.data else "that were not answered by a stream"


def _strike(aim: Aim, call: Call, hit: Hit) -> Strike | None:
    if aim.fault.strike_exchange is None:
        return None
    return aim.fault.strike_exchange(call, aim.magnitude, hit.rng)


def is_stream(head: Head) -> bool:
    """Say whether a reply comes event by event."""
    return framing.is_stream(head.content_type)


class Pump:
    """Passes a streamed body on: watching for the awaited event, being rewritten, or as it is.

    Feed it decoded bytes. After the steps of one call have been carried out, call `passed`.

    Args:
        switch: counts the delivery, and knows the lease.
    """

    def __init__(self, switch: Switch) -> None:
        """Start by passing everything on."""
        self._switch = switch
        self._splitter: framing.Splitter | None = None
        self._rewriter: StreamRewriter | None = None
        self._hit: Hit | None = None
        self._effect = ""
        self._delivered = False

    def strike(self, hit: Hit, strike: Strike) -> None:
        """Rewrite from here on."""
        if strike.rewrite_stream is not None:
            self._rewriter, self._hit, self._effect = strike.rewrite_stream(), hit, strike.effect

    def watch(self, codec: Codec, awaited: Callable[[Any], bool], decide: Callable[[], tuple[Hit, Strike] | None]) -> None:
        """Pass events on until the awaited one, and decide then."""
        self._splitter, self._codec, self._awaited, self._decide = codec.splitter(), codec, awaited, decide

    @property
    def done(self) -> bool:
        """True once the body is to end here, though upstream may have more."""
        return self._rewriter is not None and self._rewriter.done

    def feed(self, chunk: bytes) -> list[Step]:
        """Take the next bytes from upstream and return what to pass on now."""
        if self._rewriter is not None:
            if self._switch.lease.lasts():
                return self._rewriter.feed(chunk)
            chunk = self._rewriter.release() + chunk
            self._rewriter = None
        elif self._splitter is not None:
            return self._watch(self._splitter, chunk)
        return [chunk]

    def finish(self) -> list[Step]:
        """Take the end of upstream's body and return what is left to pass on."""
        if self._rewriter is not None:
            return self._rewriter.finish()
        if self._splitter is None:
            return []
        self._switch.could_not(_WITHOUT)
        return [self._splitter.rest()]

    def passed(self) -> None:
        """Note that the steps last returned have reached the caller, pauses and all (or that it gave up in one)."""
        if self._hit is not None and not self._delivered and self._rewriter is not None and self._rewriter.struck:
            self._delivered = True
            self._switch.delivered(self._hit, self._effect)

    def waited(self, *, whole: bool) -> bool:
        """Note how a gap ended: what the end of the lease has cut short never reaches the caller as the fault that it was to be.

        Args:
            whole: whether all of it passed.

        Returns:
            `whole`.
        """
        if whole:
            self.passed()
        else:
            self._hit = None
        return whole

    def _watch(self, splitter: framing.Splitter, chunk: bytes) -> list[Step]:
        blocks = splitter.feed(chunk)
        for place, block in enumerate(blocks):
            if self._awaited(self._codec.event(block)):
                self._splitter = None
                before, onward = b"".join(blocks[:place]), b"".join(blocks[place:]) + splitter.rest()
                decided = self._decide()
                if decided is None:
                    return [before + onward]
                self.strike(*decided)
                return [before, *self.feed(onward)]
        return [b"".join(blocks)]


def limit_pause(step: Pause, read_timeout_s: float | None) -> tuple[Pause, bool]:
    """Return a pause no longer than the client bears, and whether the client's read time-out ends it."""
    if read_timeout_s is not None and read_timeout_s <= step.seconds:
        return replace(step, seconds=read_timeout_s), True
    return step, False


def unpacked(headers: Headers) -> Headers:
    """Return headers that fit a body which was decoded and is passed on in pieces."""
    return without(headers, *FRAMING[:2])
