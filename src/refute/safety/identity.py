"""Who this machine is towards the guardians of others, and they towards it: certificates for TLS on both sides."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refute.core.errors import RefuteError, refuse

VARIABLE = "REFUTE_TLS"
_NAMED = frozenset({"DNS", "IP Address", "URI", "email"})


def identity_directory() -> Path:
    """Return `$REFUTE_TLS`, else `refute/tls` in `$XDG_CONFIG_HOME`, by default `~/.config`; it need not exist."""
    if given := os.environ.get(VARIABLE, ""):
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "refute" / "tls"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, its key, and the authority whose certificates count: `cert.pem`, `key.pem` and `ca.pem` of a directory.

    Attributes:
        directory: where they lie.
    """

    directory: Path = field(default_factory=identity_directory)

    def client(self) -> ssl.SSLContext:
        """Return what a run speaks to a guardian with: it shows its certificate, and wants one of the host that it meant.

        Raises:
            RefuteError: a file cannot be used (`TLS-FILE`), or others may read the key (`TLS-KEY`).
        """
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def server(self) -> ssl.SSLContext:
        """Return what a guardian listens with: nobody gets in without a certificate of the authority, nothing is resumed.

        Raises:
            RefuteError: as `client`.
        """
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        certificate, key, authority = (self._file(name) for name in ("cert.pem", "key.pem", "ca.pem"))
        if (mode := key.stat().st_mode) & 0o077:
            raise refuse("TLS-KEY", "others may read the private key", where=str(key), seen=f"{mode & 0o777:04o}", next=f"chmod 600 {key}")
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_verify_locations(authority)
            context.load_cert_chain(certificate, key, password=_nobody_is_asked)
        except (OSError, ValueError) as error:
            reason = (isinstance(error, ssl.SSLError) and error.reason) or str(error)
            raise self._unusable(str(reason)) from None
        return context

    def _file(self, name: str) -> Path:
        path = self.directory / name
        if not path.is_file():
            raise self._unusable(f"there is no file {name}")
        return path

    def _unusable(self, why: str) -> RefuteError:
        return refuse(
            "TLS-FILE", "there is no certificate to speak to another host's guardian with", where=str(self.directory), seen=why,
            allowed="cert.pem, key.pem without a passphrase, and ca.pem", next=f"set {VARIABLE} to the directory that has them",
        )  # fmt: skip


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names that a certificate is good for: its subject alternative names.

    Args:
        certificate: of the other end, as `ssl.SSLSocket.getpeercert` returns it.
    """
    named = (certificate or {}).get("subjectAltName", ())
    return frozenset(value for kind, value in named if kind in _NAMED)


def _nobody_is_asked() -> str:
    """Give no passphrase: nobody may be there to type it."""
    return ""
