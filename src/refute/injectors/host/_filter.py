"""Packet filter rules of one handle: a chain of its own, and jumps to it for one TCP port. Taken away by name, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from refute.core.arming import Handle
from refute.injectors.host._namespace import Namespace
from refute.injectors.host._tools import NET_ADMIN, SYS_ADMIN, ToolError, lacks, run

_ATTEMPTS = 3
_TOOLS = ("iptables", "ip6tables")


@cache
def incapable(*targets: str) -> str:
    """Say why such rules cannot be made here, "" where they can: each is tried in an empty namespace that ends at once.

    Args:
        *targets: what rules end with, such as `-j DROP`.
    """
    if reason := lacks(["iptables", "nsenter", "unshare"], NET_ADMIN, SYS_ADMIN):
        return reason
    for target in targets:
        try:
            run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9", *target.split()], within=["unshare", "--net"])
        except ToolError as error:
            return f"the kernel or iptables cannot do `{target}`: {error}"
    return ""


class Filter:
    """The rules of one handle.

    Args:
        handle: with `chain`, `port` and `namespace` in its data.
    """

    def __init__(self, handle: Handle) -> None:
        """Touch nothing."""
        data = handle.data
        self._chain: str = data["chain"]
        self._port: int = data["port"]
        self._namespace = Namespace.from_json(data["namespace"])
        self._arriving = "" if self._namespace.name or data.get("exposed") else "-i lo "

    @staticmethod
    def data(handle_id: str, port: int, namespace: Namespace, *, exposed: bool) -> dict[str, Any]:
        """Return what a handle must keep of its rules.

        Args:
            handle_id: of the handle.
            port: that they are about.
            namespace: that they stand in.
            exposed: whether they are about what arrives at any interface, in the host's own namespace, too.
        """
        return {"chain": f"REFUTE-{handle_id}", "port": port, "namespace": namespace.to_json(), "exposed": exposed}

    def put(self, targets: Sequence[str], *, answers: bool) -> None:
        """Add the rules, all at once in each protocol family.

        Args:
            targets: what happens to a packet, in order: `-j DROP`.
            answers: packets from the port, too.

        Raises:
            ToolError: they could not be added.
        """
        sides = ["--dport", "--sport"] if answers else ["--dport"]
        lines = [
            "*filter", f":{self._chain} - [0:0]",
            *(f"-A {self._chain} -p tcp {target}" for target in targets),
            *(f"-I INPUT 1 {self._arriving}-p tcp {side} {self._port} -j {self._chain}" for side in sides),
            "COMMIT", "",
        ]  # fmt: skip
        for tool in _families():
            self._run([f"{tool}-restore", "-w", "3", "--noflush"], "\n".join(lines))

    def packets(self) -> list[int]:
        """Return how many packets each rule of the chain has met, both families added up.

        Raises:
            ToolError: they cannot be read.
        """
        counts: list[list[int]] = []
        for tool in _families():
            rows = self._run([tool, "-w", "3", "-L", self._chain, "-n", "-v", "-x"]).splitlines()[2:]
            counts.append([int(row.split()[0]) for row in rows])
        return [sum(each) for each in zip(*counts, strict=True)]

    def remove(self) -> None:
        """Take the rules away; where there are none, or somebody else is quicker, that is well.

        Raises:
            ToolError: they are still there.
        """
        for tool in _families():
            for attempt in range(_ATTEMPTS):
                if not (lines := self._standing(tool)):
                    break
                jumps = [line.replace("-A INPUT", "-D INPUT", 1) for line in lines if line.startswith("-A INPUT")]
                text = "\n".join(["*filter", *jumps, f"-F {self._chain}", f"-X {self._chain}", "COMMIT", ""])
                try:
                    self._run([f"{tool}-restore", "-w", "3", "--noflush"], text)
                except ToolError:
                    if attempt == _ATTEMPTS - 1 and self._standing(tool):
                        raise

    def gone(self) -> bool:
        """Say whether nothing of it stands in any family.

        Raises:
            ToolError: that cannot be told.
        """
        return not any(self._standing(tool) for tool in _families())

    def _standing(self, tool: str) -> list[str]:
        rules = self._run([tool, "-w", "3", "-S"]).splitlines()
        return [line for line in rules if self._chain in line.split()]

    def _run(self, command: Sequence[str], text: str = "") -> str:
        before = self._namespace.within()
        return "" if before is None else run(command, text, within=before)  # a namespace that is gone has taken its rules with it


@cache
def _families() -> tuple[str, ...]:
    return _TOOLS if Path("/proc/net/if_inet6").exists() and not lacks(["ip6tables"]) else _TOOLS[:1]
