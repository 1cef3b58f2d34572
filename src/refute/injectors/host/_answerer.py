"""Answers look-ups that the kernel queues for this process with an error, or with nothing. Run as a process; the guardian holds its input.

A look-up is dropped, and its answer made to look as if it came from whomever was asked: no address is rewritten, so that open sockets are
struck like new ones and nothing outlasts the rules. When it dies, the rules let look-ups pass (`--queue-bypass`).

The message is that of RFC 1035, section 4.1; answers of other kinds than UDP are the rules' own business.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import sys
from collections.abc import Callable, Sequence

from refute.injectors.host._assistant import ready, tell
from refute.injectors.host._queue import Packet, Queue

_WHOLE_BYTES = 4096
_UDP = 17
_HEADER_BYTES = 12
_SILENT = -1


def answered(question: bytes, code: int) -> bytes:
    """Return the answer to a look-up: its question again, no records, and an error code.

    Args:
        question: a DNS message.
        code: the response code: 2 SERVFAIL, 3 NXDOMAIN.

    Raises:
        ValueError: it is no question.
    """
    if len(question) < _HEADER_BYTES or question[2] & 0x80:
        raise ValueError("no question")
    at = _HEADER_BYTES
    while at < len(question) and question[at]:
        at += question[at] + 1
    end = at + 5
    if end > len(question):
        raise ValueError("cut off")
    flags = bytes([0x80 | (question[2] & 0x79), 0x80 | code])
    return question[:2] + flags + struct.pack("!HHHH", 1, 0, 0, 0) + question[_HEADER_BYTES:end]


def reply_to(packet: bytes, code: int) -> tuple[str, bytes]:
    """Return where an answer goes, and the whole packet: as if from where the look-up went to.

    Args:
        packet: IPv4 or IPv6, with UDP right inside.
        code: the response code.

    Raises:
        ValueError: it is no look-up.
    """
    old = packet[0] >> 4 == 4
    start = (packet[0] & 15) * 4 if old else 40
    if (packet[9] if old else packet[6]) != _UDP or len(packet) < start + 8:
        raise ValueError("no UDP")
    asker, asked = (packet[12:16], packet[16:20]) if old else (packet[8:24], packet[24:40])
    source_port, port = struct.unpack_from("!HH", packet, start)
    body = answered(packet[start + 8 :], code)
    length = 8 + len(body)
    head = struct.pack("!HHHH", port, source_port, length, 0)
    total = checksum(asked + asker + struct.pack("!II", length, _UDP) + head + body)
    datagram = struct.pack("!HHHH", port, source_port, length, total or 0xFFFF) + body
    if old:  # the kernel fills in the checksum of the header
        return socket.inet_ntoa(asker), struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, _UDP, 0) + asked + asker + datagram
    return socket.inet_ntop(socket.AF_INET6, asker), struct.pack("!IHBB", 6 << 28, length, _UDP, 64) + asked + asker + datagram


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Answerer:
    """Sends answers.

    Args:
        code: the response code; below 0 for none at all.
    """

    def __init__(self, code: int) -> None:
        """Open what answers go out by."""
        self._code = code
        self._senders: dict[bool, socket.socket] = {}
        self._senders[True] = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with contextlib.suppress(OSError):
            self._senders[False] = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def answer(self, packet: Packet, count: Callable[[], None]) -> None:
        """Answer a look-up, once it is counted: whoever has got an answer has been counted.

        Args:
            packet: as queued; what is no look-up is left alone.
            count: counts one.
        """
        try:
            to, reply = reply_to(packet.head, max(self._code, 0))
        except (ValueError, IndexError):
            return
        count()
        if self._code > _SILENT:
            self._senders[packet.head[0] >> 4 == 4].sendto(reply, (to, 0))


def serve(queue: Queue, answerer: Answerer) -> None:
    """Answer until standard input ends.

    Args:
        queue: where look-ups come from.
        answerer: sends answers.
    """
    numbers = itertools.count(1)
    while True:
        ready_to_read, _, _ = select.select([queue.socket, sys.stdin], [], [])
        if sys.stdin in ready_to_read:
            return
        for packet in queue.arrived():
            queue.drop(packet.number)
            with contextlib.suppress(OSError, KeyError):
                answerer.answer(packet, lambda: tell(str(next(numbers))))


def main(arguments: Sequence[str]) -> None:
    """Bind the queue, say so, and answer.

    Args:
        arguments: number of the queue, response code or -1 for no answer.
    """
    try:
        queue, answerer = Queue(int(arguments[0]), _WHOLE_BYTES), Answerer(int(arguments[1]))
    except OSError as error:
        tell(str(error))
        return
    ready()
    serve(queue, answerer)


if __name__ == "__main__":
    main(sys.argv[1:])
