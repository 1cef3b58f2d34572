"""The guardians of other hosts, seen from here: how one is asked, and why it cannot be."""

from __future__ import annotations

import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from refute import __version__
from refute.core.arming import Arming
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError, refuse
from refute.core.link import Message
from refute.safety._lines import Lines
from refute.safety.identity import Identity

CONNECT_S = 3.0
_ANSWER_S = 10.0
GONE = frozenset({"", "verified"})
"""States of a fault, as `undo` answers, of which nothing is left."""


def address_of(guardian: str) -> tuple[str, int]:
    """Return host and port of `tls://HOST:PORT`.

    Raises:
        RefuteError: it is no such address (`GUARDIAN-ADDRESS`).
    """
    try:
        parts = urlsplit(guardian)
        if parts.scheme == "tls" and parts.hostname and parts.port and not parts.path.strip("/"):
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise refuse("GUARDIAN-ADDRESS", "this is no address of a guardian", seen=guardian, allowed="tls://HOST:PORT")


def ask_there(guardian: str, op: str, timeout_s: float = _ANSWER_S, **fields: Any) -> Message:
    """Ask the guardian of another host something, over a connection of its own.

    Args:
        guardian: `tls://HOST:PORT`.
        op: operation.
        timeout_s: how long to wait for the answer, seconds.
        **fields: arguments.

    Raises:
        RefuteError: it cannot be asked (`GUARDIAN-UNREACHED`, `TLS-…`), is of another version (`GUARDIAN-VERSION`), or refuses.
    """
    address, context = address_of(guardian), Identity().client()
    try:
        with socket.create_connection(address, CONNECT_S) as plain, _secured(context, plain, address[0]) as connection:
            lines = Lines(connection)
            hello = checked(lines.ask("hello", CONNECT_S))
            if hello["version"] != __version__:
                what = "the guardian is of another version"
                raise refuse("GUARDIAN-VERSION", what, where=guardian, seen=hello["version"], allowed=__version__)
            lines.send({"id": 2, "op": op, **fields}, CONNECT_S)
            return checked(lines.receive(timeout_s))
    except (OSError, ValueError) as error:
        raise unreached(guardian, error) from None


def _secured(context: ssl.SSLContext, plain: socket.socket, host: str) -> ssl.SSLSocket:
    plain.settimeout(CONNECT_S)
    return context.wrap_socket(plain, server_hostname=host)


def mechanism(arming: Arming) -> str:
    """Return the name of the injector that would carry out a fault on its component's host.

    Raises:
        RefuteError: as `ask_there`, or nothing there can (`INJECTOR-NONE`, `HOST-REFUSED`).
    """
    return str(ask_there(arming.component.place.guardian, "choose", arming=arming.to_json())["injector"])


def unreached(guardian: str, error: Exception) -> RefuteError:
    """Return why a guardian cannot be asked, in words that say whose certificate is wrong.

    Args:
        guardian: `tls://HOST:PORT`.
        error: what went wrong.
    """
    seen, then = _explained(error)
    what = "the guardian of another host cannot be asked"
    return refuse("GUARDIAN-UNREACHED", what, exit_code=EXIT_INCONCLUSIVE, where=guardian, seen=seen, next=then)


def _explained(error: Exception) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not good: {error.verify_message}",
            "see its cert.pem, and our ca.pem: openssl x509 -noout -text -in FILE",
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        if "alert" in reason:
            return f"it does not accept our certificate: {reason}", "see our cert.pem, and its ca.pem: openssl x509 -noout -text -in FILE"
        return f"it does not speak TLS 1.3: {reason}", "see what listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time", "see that the network lets it through, and that `refute guardian` runs there"
    return f"{type(error).__name__}: {error}", "see that `refute guardian` runs there"


def checked(message: Message) -> Message:
    """Return an answer that is none of problems.

    Raises:
        RefuteError: with the problems that it names.
    """
    if not message.get("ok") and "problems" in message:
        raise RefuteError(*(Problem(**problem) for problem in message["problems"]), exit_code=EXIT_INCONCLUSIVE)
    return message
