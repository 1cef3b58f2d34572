"""Faults of the network before a component: they strike all traffic to its port, on loopback or in a namespace, never a whole host."""

from __future__ import annotations

from refute.faults.process import SERVED
from refute.faults.spec import Fault, Magnitude

_UNDONE_BY = "the guardian: the rules are deleted; held packets are let go at once"

DELAY = Fault(
    name="network.delay",
    summary="Packets to the component arrive late.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "Every TCP packet to the port waits for the magnitude before it is delivered; answers do not. Opening a connection and asking "
        "something therefore take it once each."
    ),
    landing="opening a connection is measured to take the magnitude longer, at every look",
    undone_by=_UNDONE_BY,
    belief="A slow network costs time, not answers.",
    source="congested links, distant regions and overloaded virtual switches",
    magnitude=Magnitude(unit="s", low=0.01, high=10.0, typical=0.2, meaning="time that each packet to the port waits", log=True),
    acts_on="port",
)

LOSS = Fault(
    name="network.loss",
    summary="Some packets to the component are lost.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "Each TCP packet to the port is dropped with the probability of the magnitude, independently of all others; TCP sends it again, "
        "later and later."
    ),
    landing="the kernel counts packets dropped by the rule since it was applied",
    undone_by=_UNDONE_BY,
    belief="A lossy network costs time, not answers.",
    source="failing cables and switches, overfull queues, radio links",
    magnitude=Magnitude(unit="%", low=0.1, high=90.0, typical=10.0, meaning="share of packets lost", log=True),
    acts_on="port",
)

PARTITION = Fault(
    name="network.partition",
    summary="Nothing gets through to the component, and nobody is told.",
    kinds=SERVED,
    hazard="availability",
    effect="Every TCP packet to and from the port is dropped: connections hang until their own time-outs, open ones too.",
    landing="a connection to the port is tried and does not open, at every look",
    undone_by=_UNDONE_BY,
    belief="A dependency that cannot be reached is given up within the time-out.",
    source="firewall changes, failed switches, split availability zones",
    acts_on="port",
)

RESET = Fault(
    name="network.reset",
    summary="Connections to the component are reset.",
    kinds=SERVED,
    hazard="availability",
    effect="Every TCP packet to the port is answered with a reset: new connections are refused, open ones break when they are next used.",
    landing="a connection to the port is tried and refused, at every look",
    undone_by=_UNDONE_BY,
    belief="A broken connection is opened again, and what must not happen twice does not.",
    source="load balancers that drain, crashed peers, idle time-outs of middleboxes",
    acts_on="port",
)

BANDWIDTH = Fault(
    name="network.bandwidth",
    summary="Little gets through to and from the component at a time.",
    kinds=SERVED,
    hazard="availability",
    effect="TCP packets to and from the port wait in one line that moves at the magnitude; what is small and rare is hardly held up.",
    landing="packets are counted that had to wait in the line: a component that nobody talks to is not struck",
    undone_by=_UNDONE_BY,
    belief="Large answers take longer over a thin line, and do not hold up small ones for ever.",
    source="shared uplinks, throttled cloud volumes and instances, mobile users",
    magnitude=Magnitude(
        unit="kB/s", low=1.0, high=1_000_000.0, typical=100.0, meaning="what goes through, in thousands of bytes a second", log=True
    ),
    acts_on="port",
)

FAULTS = (BANDWIDTH, DELAY, LOSS, PARTITION, RESET)
