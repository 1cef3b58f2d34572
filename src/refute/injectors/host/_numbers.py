"""Numbers that nobody uses yet: of packet queues, and of ports."""

from __future__ import annotations

import secrets
from pathlib import Path


def free_queue() -> int:
    """Return the number of a queue that nobody has bound here."""
    try:
        taken = {int(line.split()[0]) for line in Path("/proc/net/netfilter/nfnetlink_queue").read_text("ascii").splitlines()}
    except OSError:
        taken = set()
    while (number := 1024 + secrets.randbelow(60000)) in taken:
        pass
    return number


def free_port() -> int:
    """Return a high TCP port at which nobody listens here, without binding it."""
    taken = set()
    for family in ("tcp", "tcp6"):
        try:
            lines = (Path("/proc/net") / family).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        taken |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    while (number := 20000 + secrets.randbelow(10000)) in taken:
        pass
    return number
