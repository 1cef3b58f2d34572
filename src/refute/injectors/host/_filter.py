"""Packet filter rules of one handle: a chain of its own, and jumps to it. Taken away by name, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from refute.core.arming import Handle
from refute.injectors.host._namespace import Namespace
from refute.injectors.host._tools import NET_ADMIN, SYS_ADMIN, ToolError, lacks, module_or_kernel, run
from refute.injectors.host._whole import Lack

_ATTEMPTS = 3
_TOOLS = ("iptables", "ip6tables")
_PARTS = {
    "cgroup": ("xt_cgroup", "NETFILTER_XT_MATCH_CGROUP"),
    "NFQUEUE": ("xt_NFQUEUE", "NETFILTER_XT_TARGET_NFQUEUE"),
    "statistic": ("xt_statistic", "NETFILTER_XT_MATCH_STATISTIC"),
    "REJECT": ("ipt_REJECT", "IP_NF_TARGET_REJECT"),
    "REDIRECT": ("xt_REDIRECT", "NETFILTER_XT_TARGET_REDIRECT"),
}
"""Words of rules, the rarer first, with the module that knows each and the option of the kernel's configuration."""


@cache
def incapable(*rules: str) -> Lack:
    """Say why such rules cannot be made here: each is tried in an empty namespace that ends at once.

    Args:
        *rules: what `iptables` is told: `-A INPUT -p tcp -j DROP`.
    """
    if (lack := lacks(["iptables", "nsenter", "unshare"], NET_ADMIN, SYS_ADMIN)).what:
        return lack
    for rule in rules:
        try:
            run(["iptables", *rule.split()], within=["unshare", "--net"])
        except ToolError as error:
            return Lack(f"the kernel or iptables cannot do `{rule}`: {error}", _part_for(rule))
    return Lack()


def _part_for(rule: str) -> str:
    """Return what would have the kernel know a rule: its own match or target, else tables at all."""
    part = next((part for word, part in _PARTS.items() if word in rule.split()), ("nft_compat", "NFT_COMPAT"))
    return module_or_kernel(*part)


@cache
def version() -> str:
    """Return what `iptables` says of itself: its version, and whether it speaks to nf_tables or to the older tables."""
    return run(["iptables", "--version"]).strip()


class Filter:
    """The rules of one handle.

    Args:
        handle: with `chain`, `namespace` and perhaps `table` in its data.
    """

    def __init__(self, handle: Handle) -> None:
        """Touch nothing."""
        data = handle.data
        self._chain: str = data["chain"]
        self._table: str = data.get("table", "filter")
        self._namespace = Namespace.from_json(data["namespace"])

    @staticmethod
    def data(handle_id: str, namespace: Namespace, table: str = "filter") -> dict[str, Any]:
        """Return what a handle must keep of its rules."""
        return {"chain": f"REFUTE-{handle_id}", "namespace": namespace.to_json(), "table": table}

    def put(self, targets: Sequence[str], jumps: Sequence[str]) -> None:
        """Add the rules, all at once in each protocol family.

        Args:
            targets: what happens to a packet, in order: `-p tcp -j DROP`.
            jumps: which packets it happens to: `INPUT -p tcp --dport 80`.

        Raises:
            ToolError: they could not be added.
        """
        lines = [
            f"*{self._table}", f":{self._chain} - [0:0]",
            *(f"-A {self._chain} {target}" for target in targets),
            *(f"-I {jump.replace(' ', ' 1 ', 1)} -j {self._chain}" for jump in jumps),
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
            rows = self._run([tool, "-w", "3", "-t", self._table, "-L", self._chain, "-n", "-v", "-x"]).splitlines()[2:]
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
                jumps = [line.replace("-A", "-D", 1) for line in lines if line.startswith("-A") and line.split()[1] != self._chain]
                text = "\n".join([f"*{self._table}", *jumps, f"-F {self._chain}", f"-X {self._chain}", "COMMIT", ""])
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
        rules = self._run([tool, "-w", "3", "-t", self._table, "-S"]).splitlines()
        return [line for line in rules if self._chain in line.split()]

    def _run(self, command: Sequence[str], text: str = "") -> str:
        before = self._namespace.within()
        return "" if before is None else run(command, text, within=before)  # a namespace that is gone has taken its rules with it


@cache
def _families() -> tuple[str, ...]:
    return _TOOLS if Path("/proc/net/if_inet6").exists() and not lacks(["ip6tables"]).what else _TOOLS[:1]
