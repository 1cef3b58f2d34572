"""Faults of certificates: what connects to one TCP port is shown a copy of its certificate that has expired."""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.lease import Lease
from refute.injectors.host._assistant import Assistant, AssistantError
from refute.injectors.host._filter import Filter, incapable, version
from refute.injectors.host._namespace import Namespace
from refute.injectors.host._numbers import free_port
from refute.injectors.host._port import address_of, handle_for, open_to_others, unreachable
from refute.injectors.host._tools import ToolError
from refute.injectors.host._watch import Watch
from refute.injectors.host._whole import Lack, arming_of, misfit, permitted, refused

_TARGET = "-p tcp -m mark ! --mark {mark} -j REDIRECT --to-ports {own}"
_LOCAL = "-m addrtype --dst-type LOCAL"
_LIMIT_S = 2.0


class CertificateInjector:
    """Leads new connections to a process that shows the expired copy."""

    name = "certificate"
    rollback_kind: RollbackKind = "journalled"
    faults = ("tls.expired",)

    def __init__(self) -> None:
        """Stand before nothing yet."""
        self._watch = Watch()
        self._fronts: dict[str, Assistant] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""."""
        component = arming.component
        if reason := misfit(arming, self.faults) or unreachable(component):
            return reason
        if component.endpoint and urlsplit(component.endpoint).scheme == "http":
            return f"component {component.name!r} does not speak TLS: its `endpoint` is not https"
        return self.lacks(arming.fault).what

    def lacks(self, _fault: str) -> Lack:
        """Say what of packages, tools, rights and kernel the host lacks."""
        if find_spec("cryptography") is None:
            return Lack("certificates cannot be made: cryptography is not installed", "pip install 'refute[tls]'")
        target = _TARGET.format(mark=1, own=9)
        return incapable(f"-t nat -A OUTPUT -o lo {target}", f"-t nat -A PREROUTING {_LOCAL} {target}")

    def means(self, _fault: str) -> str:
        """Say by what."""
        return f"address translation, by {version()}"

    def prepare(self, arming: Arming) -> Handle:
        """Choose a port and a mark; bind and make nothing.

        Raises:
            RefuteError: it cannot be done here (`HOST-REFUSED`).
        """
        place = arming.component.place
        missing = [name for name in (place.authority, place.authority_key) if name and not Path(name).is_file()]
        if reason := self.refuses(arming) or (f"there is no file {missing[0]}" if missing else ""):
            raise refused(arming, reason)
        return handle_for(self.name, arming, table="nat", own=free_port(), mark=1 + secrets.randbelow(0x7FFFFFFE))

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Start what stands before the port, then lead new connections to it.

        Raises:
            RefuteError: the component does not speak TLS, or the rules could not be added (`HOST-REFUSED`); the rollback is then due.
        """
        arming, data = arming_of(handle), handle.data
        permitted(arming, lease)
        try:
            self._fronts[handle.id] = Assistant("_expired", _arguments(handle), Namespace.from_json(data["namespace"]))
            permitted(arming, lease)
            Filter(handle).put([_TARGET.format(mark=data["mark"], own=data["own"])], _jumps(handle))
        except (AssistantError, ToolError) as error:
            raise refused(arming, f"nothing can stand before its port: {error}") from None
        self._watch.begin(handle, lease, _look(handle))

    def landed(self, handle: Handle) -> Landing:
        """Return what looking at the certificate has shown."""
        return self._watch.landed(handle)

    def rollback(self, handle: Handle) -> None:
        """Take the rules away, then end what stands before the port, and what still runs through it."""
        try:
            Filter(handle).remove()
        finally:
            if front := self._fronts.pop(handle.id, None):
                front.end()

    def verify(self, handle: Handle) -> bool:
        """Say whether no rule is left and nothing stands before the port."""
        return handle.id not in self._fronts and Filter(handle).gone()


def _arguments(handle: Handle) -> list[str]:
    host, port = address_of(handle)
    place, data = arming_of(handle).component.place, handle.data
    more = ["--authority", place.authority, "--authority-key", place.authority_key] if place.authority else []
    return [host, str(port), str(data["own"]), str(data["mark"]), *more, *(["--everywhere"] if open_to_others(handle) else [])]


def _jumps(handle: Handle) -> list[str]:
    to = f"-p tcp --dport {handle.data['port']}"
    inner = [f"PREROUTING {_LOCAL} {to}"] if open_to_others(handle) else []
    return [f"OUTPUT -o lo {to}", *inner]


def _look(handle: Handle) -> Callable[[], tuple[dict[str, float], str]]:
    """Ask for the certificate, as any client would see it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def look() -> tuple[dict[str, float], str]:
        from cryptography import x509

        try:
            with (
                socket.create_connection(address_of(handle), _LIMIT_S) as plain,
                context.wrap_socket(plain, server_hostname=address_of(handle)[0]) as tls,
            ):
                shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
        except (OSError, ValueError) as error:
            return {}, f"no certificate was shown: {error}"
        ago_s = (datetime.now(UTC) - shown.not_valid_after_utc).total_seconds()
        return ({"expired_for_s": ago_s}, "") if ago_s > 0 else ({}, "the certificate that was shown has not expired")

    return look


INJECTOR = CertificateInjector()
"""The one of this process."""
