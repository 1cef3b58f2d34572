"""What any service behind a connection can do to its callers, whatever the bytes mean; each family gives it its own names."""

from __future__ import annotations

from refute.core.system import ComponentKind
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import ConnectionStrike

_DELAY = Magnitude("s", 0.001, 60.0, 0.5, "how late each piece of an answer is", log=True)
_RATE = Magnitude("KiB/s", 1.0, 1_000_000.0, 64.0, "how much passes a second, each way", log=True)


def connection_faults(family: str, kinds: frozenset[ComponentKind], thing: str, source: str) -> tuple[Fault, ...]:
    """Return the faults of connections to one sort of component.

    Args:
        family: of their names.
        kinds: component kinds that they apply to.
        thing: what answers, in words.
        source: where these failures have been seen.
    """
    return (
        Fault(
            f"{family}.delay", f"{thing} answers late.", kinds, "availability",
            effect="each piece of bytes from upstream is late by the given time, in order; what goes to upstream is not",
            landing="number of connections with at least one late piece",
            belief=f"Answers stay quick enough when {thing.lower()} is slow", source=source, magnitude=_DELAY,
            strike_connection=lambda magnitude: ConnectionStrike("delay", late_s=_DELAY.or_typical(magnitude)),
        ),
        Fault(
            f"{family}.bandwidth", f"Little gets through to {thing.lower()}, and back.", kinds, "availability",
            effect="no more than the given amount a second passes, each way and connection",
            landing="number of connections that were slowed down",
            belief="Large results are paged or bounded, and time limits hold", source=source, magnitude=_RATE,
            strike_connection=lambda magnitude: ConnectionStrike("bandwidth", bytes_per_s=1024 * _RATE.or_typical(magnitude)),
        ),
        Fault(
            f"{family}.reset", f"Connections to {thing.lower()} break.", kinds, "availability",
            effect="a TCP reset as soon as anything comes over a connection, open or new; upstream is closed",
            landing="number of connections reset",
            belief="Broken connections are replaced, and what is not safe to repeat is not repeated", source=source,
            strike_connection=lambda _magnitude: ConnectionStrike("reset", reset=True),
        ),
        Fault(
            f"{family}.drop", f"{thing} falls silent, and nothing says so.", kinds, "availability",
            effect="connections stay open and nothing passes either way; what was sent arrives when the fault has gone",
            landing="number of connections on which something was kept back",
            belief="A time-out is set, and the pool does not fill up with waiting", source=source,
            strike_connection=lambda _magnitude: ConnectionStrike("silence", silent=True),
        ),
    )  # fmt: skip
