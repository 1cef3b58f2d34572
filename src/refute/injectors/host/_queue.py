"""Holds packets that the kernel queues for this process, and lets each go in its time. Run as a process; the guardian holds its input.

It ends when its input does, and first lets go of all that it holds. When it dies, the rules that lead to it let packets pass by
themselves (`--queue-bypass`), so that nothing of the fault is left but rules without effect.

The protocol is nfnetlink_queue: linux/netfilter/nfnetlink_queue.h.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from refute.injectors.host._assistant import ready, tell

_NETLINK_NETFILTER = 12
_QUEUE = 3 << 8
_PACKET, _VERDICT, _CONFIG = _QUEUE, _QUEUE | 1, _QUEUE | 2
_REQUEST, _WITH_ACK = 0x1, 0x5
_CFG_COMMAND, _CFG_PARAMETERS, _CFG_LENGTH, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND, _COPY_PACKET = 1, 2
_HEAD_BYTES = 64
_FAIL_OPEN_AND_WHOLE = 0x1 | 0x4
_LONGEST = 65535
_PACKET_HEADER, _VERDICT_HEADER, _CAPTURED, _PAYLOAD = 1, 2, 13, 10
_DROP, _ACCEPT = 0, 1
_ERROR = 2
_TOLD_S = 0.2


class Packet(NamedTuple):
    """One packet that waits for a verdict.

    Attributes:
        number: the kernel's own.
        length: in bytes.
        head: its first bytes, from the network header on.
    """

    number: int
    length: int
    head: bytes


class Queue:
    """One packet queue of the kernel.

    Args:
        number: of the queue.
        head_bytes: how much of each packet is wanted.

    Raises:
        OSError: the kernel does not have such queues, or this one is taken.
    """

    def __init__(self, number: int, head_bytes: int = _HEAD_BYTES) -> None:
        """Bind the queue."""
        self._number = number
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((0, 0))
        self._configure(_attribute(_CFG_COMMAND, struct.pack("!BxH", _BIND, socket.AF_INET)))
        self._configure(_attribute(_CFG_PARAMETERS, struct.pack("!IB", head_bytes, _COPY_PACKET)))
        self._configure(_attribute(_CFG_LENGTH, struct.pack("!I", _LONGEST)))
        flags = struct.pack("!I", _FAIL_OPEN_AND_WHOLE)
        self._configure(_attribute(_CFG_MASK, flags) + _attribute(_CFG_FLAGS, flags))

    def arrived(self) -> Iterator[Packet]:
        """Yield the packets that have come."""
        try:
            data = self.socket.recv(1 << 18)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return  # the kernel had more than we could take: it let them pass
            raise
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind == _PACKET:
                yield _packet(data[20:length])
            data = data[(length + 3) & ~3 :]

    def let_go(self, packet: int) -> None:
        """Let a packet go on its way."""
        self._judge(packet, _ACCEPT)

    def drop(self, packet: int) -> None:
        """Have a packet vanish; whoever sent it is not told."""
        self._judge(packet, _DROP)

    def _judge(self, packet: int, verdict: int) -> None:
        self.socket.send(self._message(_VERDICT, _REQUEST, _attribute(_VERDICT_HEADER, struct.pack("!II", verdict, packet))))

    def _configure(self, attributes: bytes) -> None:
        self.socket.send(self._message(_CONFIG, _WITH_ACK, attributes))
        answer = self.socket.recv(4096)
        kind, code = struct.unpack_from("=4xH10xi", answer)
        if kind == _ERROR and code:
            raise OSError(-code, f"the kernel refuses queue {self._number}")

    def _message(self, kind: int, flags: int, attributes: bytes) -> bytes:
        body = struct.pack("!BBH", 0, 0, self._number) + attributes
        return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _packet(body: bytes) -> Packet:
    number = captured = 0
    head = b""
    while len(body) >= 4:
        size, kind = struct.unpack_from("=HH", body)
        match kind & 0x3FFF:
            case 1:
                (number,) = struct.unpack_from("!I", body, 4)
            case 10:
                head = body[4:size]
            case 13:
                (captured,) = struct.unpack_from("!I", body, 4)
        body = body[(size + 3) & ~3 :]
    return Packet(number, max(len(head), captured), head)


def hold(queue: Queue, delay_s: float, bytes_per_s: float) -> None:
    """Hold packets until standard input ends.

    Args:
        queue: where they come from.
        delay_s: how long each waits, seconds.
        bytes_per_s: how much goes through, 0 for no bound.
    """
    held: deque[tuple[float, int]] = deque()
    free_s, waited, told_s = 0.0, 0, 0.0
    poll = select.poll()
    poll.register(queue.socket, select.POLLIN)
    poll.register(sys.stdin.fileno(), select.POLLIN)
    while True:
        wait_ms = max(0.0, held[0][0] - time.monotonic()) * 1000 if held else None
        ready = {number for number, _ in poll.poll(wait_ms)}
        if sys.stdin.fileno() in ready:
            break
        if queue.socket.fileno() in ready:
            for number, length, _ in queue.arrived():
                now_s = time.monotonic()
                waited += bool(delay_s) or free_s > now_s
                free_s = max(free_s, now_s) + (length / bytes_per_s if bytes_per_s else 0.0)
                held.append((free_s + delay_s, number))
        if waited and time.monotonic() - told_s > _TOLD_S:
            told_s = time.monotonic()
            tell(str(waited))
        while held and held[0][0] <= time.monotonic():
            queue.let_go(held.popleft()[1])
    for _, number in held:
        queue.let_go(number)


def main(arguments: Sequence[str]) -> None:
    """Bind the queue, say so, and hold.

    Args:
        arguments: number of the queue, delay in seconds, bytes per second.
    """
    number, delay_s, bytes_per_s = int(arguments[0]), float(arguments[1]), float(arguments[2])
    try:
        queue = Queue(number)
    except OSError as error:
        tell(str(error))
        return
    ready()
    hold(queue, delay_s, bytes_per_s)


if __name__ == "__main__":
    main(sys.argv[1:])
