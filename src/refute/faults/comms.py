"""Faults of the exchange of gradients between the ranks of a training, as `DistributedDataParallel` makes it: on the last rank."""

from __future__ import annotations

from functools import partial

from refute.faults.numerics import TRAINERS
from refute.faults.spec import Fault, Magnitude

_fault = partial(
    Fault, kinds=TRAINERS, trains="exchange", landing="the hook around the exchange has done it, and written it down",
    undone_by="the lease: the hook does from then on what it would without the fault; the run is thrown away",
)  # fmt: skip

FAULTS = (
    _fault(
        name="comms.slow",
        summary="The network between ranks is slow.",
        hazard="availability",
        effect="From one step on, the last rank waits before each exchange of a bucket of gradients, so that all ranks do.",
        belief="A slow network is noticed, or does not matter.",
        source="fail-slow links: from seconds to ten hours",
        magnitude=Magnitude(unit="s", low=0.001, high=60.0, typical=0.1, meaning="before each bucket", log=True),
    ),
    _fault(
        name="comms.hung",
        summary="One exchange between ranks hangs.",
        hazard="availability",
        effect="Before one step, the last rank joins the exchange of gradients only after the magnitude; the others wait, or give up.",
        belief="An exchange that hangs is noticed within the time-out, and the run goes on from its checkpoint.",
        source="collectives that one rank never joins; gloo waits for 30 minutes by default, NCCL for ten",
        magnitude=Magnitude(unit="s", low=0.1, high=7200.0, typical=600.0, meaning="for how long", log=True),
    ),
    _fault(
        name="comms.dropped",
        summary="One rank goes without the result of an exchange.",
        hazard="wrong_answer",
        effect="Before one step, the last rank takes part in the exchange and keeps its own gradients: its weights differ from then on.",
        belief="Ranks that have diverged are noticed.",
        source="lost or reordered collectives; figures of ranks that diverged: 0.912 for 0.962",
    ),
    _fault(
        name="comms.corrupted",
        summary="What one rank sends to the others is wrong.",
        hazard="wrong_answer",
        effect="Before one step, one bucket of the last rank's gradients is multiplied by the magnitude before it is exchanged.",
        belief="Gradients that are far too large are clipped or skipped.",
        source="silent data corruption on the way; all ranks stay equal, and are worse",
        magnitude=Magnitude(unit="1", low=-1e9, high=1e9, typical=1000.0, meaning="factor"),
    ),
)
