"""Stands before a port that speaks TLS with an expired copy of its certificate. Run as a process; the guardian holds its input.

Who checks the certificate goes away; whoever does not is passed on to the component. Its own connections to the component carry a mark,
by which the rules leave them alone. The key that it makes never leaves its memory.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from refute.injectors.host._assistant import ready, tell

_SO_MARK = 36
_DAY = dt.timedelta(days=1)
_LIMIT_S = 10.0
_HASHED_ITSELF = ("Ed25519", "Ed448")


def upstream(address: tuple[str, int], mark: int) -> ssl.SSLSocket:
    """Connect to the component itself, past the rules.

    Raises:
        OSError: it does not answer, or does not speak TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    plain = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        plain.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
        plain.settimeout(_LIMIT_S)
        plain.connect(address)
        return context.wrap_socket(plain, server_hostname=address[0])
    except BaseException:
        plain.close()
        raise


def expired_copy(original: bytes, authority: str, authority_key: str) -> bytes:
    """Return a certificate with its key, as PEM: with the names of the original, and run out a day ago.

    Args:
        original: DER.
        authority: path of the certificate of who signs it, "" for itself.
        authority_key: path of their key.

    Raises:
        OSError: the authority cannot be read.
        ValueError: it is none.
    """
    old, key = x509.load_der_x509_certificate(original), ec.generate_private_key(ec.SECP256R1())
    issuer, signer, chain = old.subject, _signer(key), b""
    if authority:
        chain = Path(authority).read_bytes()
        issuer = x509.load_pem_x509_certificate(chain).subject
        signer = _signer(load_pem_private_key(Path(authority_key).read_bytes(), None))
    end = dt.datetime.now(dt.UTC) - _DAY
    builder = x509.CertificateBuilder(issuer, old.subject, key.public_key(), x509.random_serial_number(), end - 90 * _DAY, end)
    with contextlib.suppress(x509.ExtensionNotFound):
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, names.critical)
    algorithm = None if type(signer).__name__.startswith(_HASHED_ITSELF) else hashes.SHA256()
    made = builder.sign(signer, algorithm)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM) + chain + secret


def _signer(key: object) -> CertificateIssuerPrivateKeyTypes:
    if not hasattr(key, "sign"):
        raise ValueError("the authority's key cannot sign")
    return key  # type: ignore[return-value]


def context_of(pem: bytes) -> ssl.SSLContext:
    """Return a server's context; the key is read from memory, never from a disk."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


class Front:
    """Serves connections, and counts handshakes.

    Args:
        context: with the expired certificate.
        address: of the component.
        mark: of connections to it.
    """

    def __init__(self, context: ssl.SSLContext, address: tuple[str, int], mark: int) -> None:
        """Count nothing yet."""
        self._context = context
        self._address = address
        self._mark = mark
        self._lock = threading.Lock()
        self._shown = 0

    def serve(self, plain: socket.socket) -> None:
        """Show the certificate, then pass on what is said."""
        with plain, contextlib.suppress(OSError):
            plain.settimeout(_LIMIT_S)
            try:
                client = self._context.wrap_socket(plain, server_side=True)
            finally:
                self._count()
            with client, upstream(self._address, self._mark) as server:
                back = threading.Thread(target=_pump, args=[server, client], daemon=True)
                back.start()
                _pump(client, server)
                back.join()

    def _count(self) -> None:
        with self._lock:
            self._shown += 1
            tell(str(self._shown))


def _pump(source: ssl.SSLSocket, sink: ssl.SSLSocket) -> None:
    """Pass on what one end says until it has done."""
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def listeners(port: int, *, everywhere: bool) -> list[socket.socket]:
    """Listen on loopback, or in a namespace of its own at every address.

    Raises:
        OSError: the port is taken.
    """
    made = [socket.create_server(("0.0.0.0" if everywhere else "127.0.0.1", port), backlog=128)]  # noqa: S104 - within a namespace
    with contextlib.suppress(OSError):
        made.append(socket.create_server(("::" if everywhere else "::1", port), family=socket.AF_INET6, backlog=128))
    return made


def main(arguments: Sequence[str]) -> None:
    """Copy the certificate, listen, say so, and serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    for name in ("port", "own", "mark"):
        parser.add_argument(name, type=int)
    for name in ("--authority", "--authority-key"):
        parser.add_argument(name, default="")
    parser.add_argument("--everywhere", action="store_true")
    given = parser.parse_args(arguments)
    address = (given.host, given.port)
    try:
        with upstream(address, given.mark) as server:
            original = server.getpeercert(binary_form=True) or b""
        context = context_of(expired_copy(original, given.authority, given.authority_key))
        listening = listeners(given.own, everywhere=given.everywhere)
    except (OSError, ValueError) as error:
        tell(f"{type(error).__name__}: {error}")
        return
    ready()
    front = Front(context, address, given.mark)
    while sys.stdin not in (found := select.select([*listening, sys.stdin], [], [])[0]):
        for listener in (one for one in listening if one in found):
            threading.Thread(target=front.serve, args=[listener.accept()[0]], daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
