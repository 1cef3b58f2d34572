"""Runs the system's own tools, and says what of them and of the rights is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from refute.injectors.host._whole import Lack

NET_ADMIN = 12
SYS_ADMIN = 21
_NAMES = {NET_ADMIN: "CAP_NET_ADMIN", SYS_ADMIN: "CAP_SYS_ADMIN"}
_PACKAGES = {"ip6tables": "iptables", "nsenter": "util-linux", "unshare": "util-linux", "tc": "iproute2", "ip": "iproute2"}
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_MODULES = Path("/lib/modules")
_LIMIT_S = 5.0


class ToolError(Exception):
    """A tool failed; the text is what it said."""


@cache
def path_of(tool: str) -> str:
    """Return where a tool is, "" where it is not installed."""
    return shutil.which(tool, path=_PLACES) or ""


def lacks(tools: Sequence[str], *capabilities: int) -> Lack:
    """Say which of these tools or rights are missing.

    Args:
        tools: names of commands.
        *capabilities: numbers of Linux capabilities.
    """
    missing = [tool for tool in tools if not path_of(tool)]
    if missing:
        packages = dict.fromkeys(_PACKAGES.get(tool, tool) for tool in missing)
        return Lack("; ".join(f"the command {tool} is not installed" for tool in missing), f"apt-get install -y {' '.join(packages)}")
    held = _effective()
    rights = [_NAMES[number] for number in capabilities if not held >> number & 1]
    return Lack(f"it needs the right {' and '.join(rights)}", _granting(rights)) if rights else Lack()


def _granting(rights: Sequence[str]) -> str:
    """Return the command that gives rights: to root of a container, whoever starts that must."""
    if os.geteuid():
        return "sudo refute doctor"
    return f"start the container with them: docker run {' '.join('--cap-add=' + name.removeprefix('CAP_') for name in rights)}"


def module_or_kernel(module: str, option: str) -> str:
    """Return what gives a kernel a part that it lacks: loading a module, or another kernel where this one has no such module.

    Args:
        module: name of the module.
        option: of the kernel's configuration, without `CONFIG_`.
    """
    try:
        there = f"/{module}.ko" in (_MODULES / os.uname().release / "modules.dep").read_text("utf-8", "replace")
    except OSError:
        there = False
    return f"modprobe {module}" if there else f"boot a kernel with CONFIG_{option}, then: refute doctor"


def run(command: Sequence[str], text: str = "", *, within: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> str:
    """Run a tool to its end and return what it prints.

    It inherits the guardian's lock, so that nobody takes over before it has ended.

    Args:
        command: its first word is looked up.
        text: its standard input.
        within: a command that runs it, such as one that enters a namespace first.
        environ: its environment, ours where not given.

    Raises:
        ToolError: it failed, or took too long.
    """
    try:
        done = subprocess.run(
            [*_resolved(within), *_resolved(command)], input=text, capture_output=True, text=True, timeout=_LIMIT_S, check=False,
            close_fds=False, env=environ,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise ToolError(f"{command[0]}: {said[-1]}")
    return done.stdout


def _resolved(command: Sequence[str]) -> list[str]:
    return [path_of(word) or word for word in command[:1]] + list(command[1:])


def _effective() -> int:
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("CapEff:")).split()[1], 16)
    except (OSError, StopIteration, ValueError):
        return 0
