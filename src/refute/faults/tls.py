"""Faults of TLS before a component: what its clients are shown at one port, on loopback or in a namespace."""

from __future__ import annotations

from refute.faults.process import SERVED
from refute.faults.spec import Fault

EXPIRED = Fault(
    name="tls.expired",
    summary="The component's certificate has expired.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "New connections to the port are shown a certificate with the component's names that ran out a day ago, signed by the component's "
        "`authority` where one is given, else by itself: then clients may first object to who signed it. Who does not check is passed on "
        "to the component, over HTTP/1.1. Open connections are spared."
    ),
    landing="a TLS handshake at the port is seen to show an expired certificate, at every look",
    undone_by="the guardian: the rules are deleted, and what stood before the port ends, with what still ran through it",
    belief="An expired certificate is refused at once and told to somebody, and nobody goes on without a check.",
    source="certificates that nobody renewed, renewals that were never reloaded",
    acts_on="port",
)

FAULTS = (EXPIRED,)
