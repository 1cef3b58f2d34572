"""Hosts as network namespaces, each with processes, state and certificates of its own, on one switch.

Marked `host` wherever it is used: it needs root, iproute2 and iptables.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from refute.core.process import terminate
from refute.safety._post import Post

NET = "10.231.9"


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)


def until(wanted: Callable[[], Any], limit_s: float) -> float:
    """Wait for something and return how long that took, seconds."""
    start = time.monotonic()
    while time.monotonic() < start + limit_s:
        if wanted():
            return time.monotonic() - start
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s")


def certify(authority: trustme.CA, directory: Path, *names: str, not_after: dt.datetime | None = None, trusted: Any = None) -> Path:
    """Put an identity into a directory, as `refute.safety.identity` reads it."""
    directory.mkdir(parents=True, exist_ok=True)
    made = authority.issue_cert(*names, not_after=not_after)
    made.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    (directory / "key.pem").touch(mode=0o600)
    made.private_key_pem.write_to_path(directory / "key.pem")
    (trusted or authority).cert_pem.write_to_path(directory / "ca.pem")
    return directory


@dataclass
class Host:
    """One of them."""

    netns: str
    address: str
    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {
            "XDG_STATE_HOME": str(self.home / "state"), "REFUTE_TLS": str(self.home / "tls"), "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    @property
    def post(self) -> Post:
        return Post(self.home / "state" / "refute" / "guardian")

    def start(self, *command: str, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
        """Start a process on it."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, *command], cwd=cwd or self.home, env=self.environ | environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        return process

    def refute(self, *arguments: str, timeout_s: float = 40) -> tuple[int, list[dict[str, Any]], str]:
        process = self.start(sys.executable, "-m", "refute", *arguments)
        out, err = process.communicate(timeout=timeout_s)
        return process.returncode, [json.loads(line) for line in out.splitlines() if line.startswith("{")], err

    def listening(self, *admitted: str, port: int = 0, within: Sequence[str] = ()) -> str:
        """Start `refute guardian` and return its URL."""
        admit = [part for name in admitted for part in ("--admit", name)]
        process = self.start(*within, sys.executable, "-m", "refute", "guardian", "--listen", f"{self.address}:{port}", *admit, "--json")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        return str(json.loads(line)["guardian"])

    def link(self, state: str) -> None:
        """Pull its cable, or put it back: `down`, `up`."""
        ip(f"-n {self.netns} link set eth0 {state}")

    def filter(self, *rule: str) -> None:
        """Add or remove a rule of its packet filter."""
        subprocess.run(["ip", "netns", "exec", self.netns, "iptables", "-w", "3", *rule], check=True, capture_output=True)

    def rules(self) -> str:
        shown = ["ip", "netns", "exec", self.netns, "iptables", "-w", "3", "-S"]
        return subprocess.run(shown, check=True, capture_output=True, text=True).stdout

    def pids(self) -> list[int]:
        return [
            int(pid)
            for pid in subprocess.run(["ip", "netns", "pids", self.netns], capture_output=True, text=True, check=False).stdout.split()
        ]

    def kill_all(self) -> None:
        """kill -9 everything on it, at once."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        if (guardian := self.post.holder()) is not None:
            terminate(guardian)
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        with contextlib.suppress(AssertionError):
            until(lambda: all(process.poll() is not None for process in self.started), 3)
        self.kill_all()
        for process in self.started:
            process.communicate()


@dataclass
class Hosts:
    """A runner's host, the target's with its guardian, and a third one."""

    runner: Host
    target: Host
    third: Host
    authority: trustme.CA


def networked(tmp_path: Path) -> Iterator[Hosts]:
    """Yield three hosts on one switch, with certificates."""
    number, made = secrets.token_hex(2), []
    switch = f"rf{number}s"
    authority = trustme.CA()
    ip(f"netns add {switch}")
    try:
        ip(f"-n {switch} link add br0 type bridge")
        ip(f"-n {switch} link set br0 up")
        for index, name in enumerate(("runner", "target", "third"), 1):
            host = Host(f"rf{number}{name}", f"{NET}.{index}", tmp_path / name)
            made.append(host)
            certify(authority, host.home / "tls", name, host.address)
            _plug(host, switch, index)
        yield Hosts(*made, authority)
    finally:
        for host in made:
            host.end()
            subprocess.run(["ip", "netns", "del", host.netns], check=False)
        subprocess.run(["ip", "netns", "del", switch], check=False)


def _plug(host: Host, switch: str, index: int) -> None:
    ip(f"netns add {host.netns}")
    ip(f"-n {host.netns} link add eth0 type veth peer name p{index} netns {switch}")
    ip(f"-n {switch} link set p{index} master br0 up")
    ip(f"-n {host.netns} addr add {host.address}/24 dev eth0")
    ip(f"-n {host.netns} link set eth0 up")
    ip(f"-n {host.netns} link set lo up")


def answers(host: Host, at: tuple[str, int], within_s: float = 0.3) -> bool:
    """Say whether a service answers quickly, asked from a host."""
    program = (
        "import socket,sys\n"
        f"c=socket.create_connection({at!r},{within_s}); c.settimeout({within_s}); c.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
        "sys.exit(c.recv(12) != b'HTTP/1.1 200')"
    )
    asked = ["ip", "netns", "exec", host.netns, sys.executable, "-S", "-E", "-c", program]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
