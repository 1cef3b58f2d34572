"""A service of its own process, a resolver and an authority, for faults that strike a component as a whole."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from refute.core.arming import Arming
from refute.core.system import Component, Place
from refute.injectors.host._numbers import free_port
from refute.integrations.clock import adjustable

SERVER = Path(__file__).parents[1] / "servers" / "whole.py"
RESOLVER = "127.77.0.53"


@dataclass
class Authority:
    """Who signs: files as a user would have them."""

    folder: Path
    certificate: Path = field(init=False)
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
        made = self._made(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
        self.certificate, self.key = self.folder / "authority.pem", self.folder / "authority-key.pem"
        self.certificate.write_bytes(made.public_bytes(Encoding.PEM))
        self.key.write_bytes(_pem(self._key))

    def certify(self) -> Path:
        """A certificate for 127.0.0.1, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = self._made(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service")]), key.public_key(), names)
        path = self.folder / "service.pem"
        path.write_bytes(made.public_bytes(Encoding.PEM) + _pem(key))
        return path

    def _made(self, subject, public_key, extension):
        now = dt.datetime.now(dt.UTC)
        day = dt.timedelta(days=1)
        builder = x509.CertificateBuilder(self._name, subject, public_key, x509.random_serial_number(), now - day, now + day)
        return builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints)).sign(self._key, hashes.SHA256())


def _pem(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass
class Service:
    """The service, as its clients see it."""

    folder: Path
    authority: Authority | None = None
    shiftable: bool = False
    port: int = 0
    process: subprocess.Popen | None = None

    @property
    def component(self) -> Component:
        place = Place(
            pidfile=str(self.folder / "pid"), directory=str(self.folder),
            authority=str(self.authority.certificate) if self.authority else "",
            authority_key=str(self.authority.key) if self.authority else "",
        )  # fmt: skip
        scheme = "https" if self.authority else "http"
        return Component("target", "service", endpoint=f"{scheme}://127.0.0.1:{self.port}", place=place)

    def aimed(self, fault: str, magnitude: float | None = None) -> Arming:
        return Arming(self.component, fault, magnitude)

    def start(self) -> None:
        self.port = self.port or free_port()  # none of those that connections out are given meanwhile
        more = [str(self.authority.certify())] if self.authority else []
        environ = os.environ | (adjustable(self.folder / "clock") if self.shiftable else {})
        command = [sys.executable, str(SERVER), str(self.port), str(self.folder / "pid"), str(self.folder), *more]
        self.process = subprocess.Popen(command, env=environ)
        until = time.monotonic() + 10
        while self.ask("well") != "well":
            assert time.monotonic() < until, "it does not start"
            time.sleep(0.02)

    def ask(self, what: str, limit_s: float = 3.0, *, checked: bool = True) -> str:
        """What it says, or how asking failed."""
        if self.authority:
            context = ssl.create_default_context(cafile=str(self.authority.certificate))
            if not checked:
                context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=limit_s, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit_s)
        try:
            connection.request("GET", f"/{what}")
            return connection.getresponse().read().decode()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    def ask_the_time(self) -> str:
        return self.ask(f"clock?{time.time():.3f}")

    def look_up(self) -> str:
        return self.ask(f"look-up?{RESOLVER}")

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(folder: Path, fault: str) -> Iterator[Service]:
    """A service that a fault can strike."""
    made = Service(folder, Authority(folder) if fault == "tls.expired" else None, fault.startswith("process.clock_"))
    try:
        made.start()
        yield made
    finally:
        made.end()


@contextlib.contextmanager
def resolver() -> Iterator[None]:
    """Answers every look-up with no error; needs root for its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
        answering.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        answering.bind((RESOLVER, 53))

        def answer() -> None:
            with contextlib.suppress(OSError):
                while (received := answering.recvfrom(512))[1]:
                    question, who = received
                    answering.sendto(question[:2] + b"\x81\x80" + question[4:], who)

        threading.Thread(target=answer, daemon=True).start()
        yield
        with contextlib.suppress(OSError):
            answering.shutdown(socket.SHUT_RDWR)
