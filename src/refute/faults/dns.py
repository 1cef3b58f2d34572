"""Faults of name look-ups: what one component, or all that lives in its namespace, asks by DNS; never a whole host."""

from __future__ import annotations

from refute.faults.process import SERVED
from refute.faults.spec import Fault

_WHO = (
    "Look-ups over UDP that the component's processes make, or all that live in its namespace, {what}; over TCP {tcp}. With processes, "
    "sockets that were open before are spared. Look-ups over TLS or HTTPS, and names that are in a cache, are not touched."
)
_LANDING = "look-ups are counted that were answered so: a component that looks up nothing is not struck"
_UNDONE_BY = "the guardian: the rules are deleted, each process is moved back to its group, and what answered ends"

ERROR = Fault(
    name="dns.error",
    summary="Name look-ups of the component fail at the server.",
    kinds=SERVED,
    hazard="availability",
    effect=_WHO.format(what="are answered with SERVFAIL", tcp="connections are reset"),
    landing=_LANDING,
    undone_by=_UNDONE_BY,
    belief="With its resolver failing, the component goes on with the addresses that it has.",
    source="overloaded or misconfigured resolvers, failing DNSSEC validation, outages of providers",
    acts_on="process",
)

NOT_FOUND = Fault(
    name="dns.not_found",
    summary="No name that the component looks up exists.",
    kinds=SERVED,
    hazard="availability",
    effect=_WHO.format(what="are answered with NXDOMAIN", tcp="connections are reset"),
    landing=_LANDING,
    undone_by=_UNDONE_BY,
    belief="A name that is gone for a while is asked for again later, and not remembered as gone.",
    source="deleted records, expired domains, wrong search lists",
    acts_on="process",
)

TIMEOUT = Fault(
    name="dns.timeout",
    summary="Name look-ups of the component are never answered.",
    kinds=SERVED,
    hazard="availability",
    effect=_WHO.format(what="get no answer", tcp="connections do not open"),
    landing=_LANDING,
    undone_by=_UNDONE_BY,
    belief="A resolver that is silent delays nothing for longer than the time-out of a request.",
    source="dropped UDP, firewall changes, resolvers that cannot be reached",
    acts_on="process",
)

FAULTS = (ERROR, NOT_FOUND, TIMEOUT)
