"""A second person's signed yes: made with an SSH key that people have already, checked against a list of who may say yes.

What is signed names the system, the environment, the digest of the intent file, and the beliefs: an approval of one thing is none of
another, and any change of the file voids it. Signing and checking are OpenSSH's own (`ssh-keygen -Y`), under a namespace of ours, so that
a signature made for something else is none either.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from refute.core.errors import Problem, RefuteError, refuse

NAMESPACE = "refute-approval"
FOLDER = "approvals"
_TIMEOUT_S = 60.0
_LONGEST_FILE = 65_536


@dataclass(frozen=True, slots=True)
class Approved:
    """What a person says yes to.

    Attributes:
        system: name.
        environment: name.
        digest: SHA-256 of the intent's files, hexadecimal.
        beliefs: ids that may be tested, in order of their names.
        by: principal who says so, as the list of signers names them.
        until: seconds since the epoch after which it is void.
    """

    system: str
    environment: str
    digest: str
    beliefs: tuple[str, ...]
    by: str
    until: float

    def signed_text(self) -> bytes:
        """Return what is signed: one JSON object, keys in order."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Approval:
    """A yes with its signature.

    Attributes:
        approved: what was said yes to.
        signature: OpenSSH's, armoured.
        path: where it stands.
    """

    approved: Approved
    signature: str
    path: Path

    def key_of(self, person: str, signers: Path) -> str:
        """Return the fingerprint of the key that signed it, "" where that is not one of this person's.

        Args:
            person: one of those who may sign.
            signers: OpenSSH `allowed_signers` file.

        Raises:
            RefuteError: `ssh-keygen` is missing (`APPROVAL-TOOL`).
        """
        with tempfile.TemporaryDirectory(prefix="refute-") as folder:
            signature = Path(folder, "signature")
            signature.write_text(self.signature, encoding="utf-8")
            arguments = ["verify", "-f", str(signers), "-I", person, "-n", NAMESPACE, "-s", str(signature)]
            done = _ssh_keygen(arguments, self.approved.signed_text())
        return "" if done.returncode else done.stdout.decode(errors="replace").split()[-1]


def approve(approved: Approved, key: Path, folder: Path) -> Path:
    """Sign a yes and write it down.

    Args:
        approved: what is said yes to.
        key: private SSH key, or the public one of a key that an agent holds.
        folder: where it is written, made where it is missing.

    Returns:
        The file.

    Raises:
        RefuteError: it could not be signed (`APPROVAL-SIGN`) or written (`APPROVAL-WRITE`), or `ssh-keygen` is missing (`APPROVAL-TOOL`).
    """
    done = _ssh_keygen(["sign", "-q", "-f", str(key), "-n", NAMESPACE], approved.signed_text())
    if done.returncode or b"SIGNATURE" not in done.stdout:
        seen = done.stderr.decode(errors="replace").strip() or "no signature"
        raise refuse("APPROVAL-SIGN", "the approval could not be signed", where=str(key), seen=seen, next="ssh-add, or name another --key")
    name = "".join(sign if sign.isalnum() else "-" for sign in approved.by)
    path = folder / f"{approved.environment or 'any'}-{approved.digest[:12]}-{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**asdict(approved), "signature": done.stdout.decode()}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise refuse("APPROVAL-WRITE", "the approval could not be written", where=str(path), seen=error.strerror or "") from None
    return path


def read_approvals(folder: Path) -> Iterator[Approval]:
    """Yield the approvals in a folder; files that are none are passed over, for they approve nothing."""
    for path in sorted(folder.glob("*.json")):
        try:
            data: dict[str, Any] = json.loads(path.read_bytes()[:_LONGEST_FILE])
            signature = str(data.pop("signature"))
            yield Approval(Approved(**{**data, "beliefs": tuple(data["beliefs"])}), signature, path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


@dataclass(frozen=True, slots=True)
class Need:
    """How many must have said yes.

    Attributes:
        people: at least 1.
        signers: OpenSSH `allowed_signers` file of those who may.
        author: who starts the run and does not count; "" where everybody counts.
    """

    people: int
    signers: Path
    author: str = ""


def missing_approval(wanted: Approved, need: Need, given: Iterable[Approval], now: float) -> Problem | None:
    """Say why a run is not approved, or return None where it is.

    Args:
        wanted: what is about to run; `by` and `until` do not matter.
        need: how many, and who may.
        given: what people have signed.
        now: seconds since the epoch.
    """
    said: dict[str, str] = {}  # who, by the key: neither two keys nor two names make two people
    why: list[str] = []
    for one in given:
        flaw = _flaw(one, wanted, need, now)
        if not flaw:
            said.setdefault(one.key_of(one.approved.by, need.signers), one.approved.by)
        elif flaw != "of something else":
            why.append(f"{one.path.name}: {flaw}")
    people = min(len(said), len(set(said.values())))
    if people >= need.people:
        return None
    command = f"refute approve --environment {wanted.environment} {' '.join(f'--belief {name}' for name in wanted.beliefs)}"
    seen = f"{people} of {need.people}" + (f" ({'; '.join(why)})" if why else "")
    return Problem("GATE-APPROVAL", "the run is not approved", seen=seen, allowed=f"people named in {need.signers.name}", next=command)


def _flaw(one: Approval, wanted: Approved, need: Need, now: float) -> str:
    approved = one.approved
    if (approved.system, approved.environment) != (wanted.system, wanted.environment) or not set(wanted.beliefs) <= set(approved.beliefs):
        return "of something else"
    if approved.digest != wanted.digest:
        return "the intent has changed since"
    if not isinstance(approved.until, int | float) or approved.until <= now:
        return "it has run out"
    return _signed_by_whom(one, need)


def _signed_by_whom(one: Approval, need: Need) -> str:
    """Say what is wrong with who has signed, "" where nothing is."""
    by = one.approved.by
    if need.author and by == need.author:
        return f"{by} starts the run and cannot approve it"
    if not one.key_of(by, need.signers):
        return f"the signature is not that of {by}"
    if need.author and one.key_of(need.author, need.signers):
        return f"it is signed with a key of {need.author}, who starts the run"
    return ""


def _ssh_keygen(arguments: Sequence[str], text: bytes) -> subprocess.CompletedProcess[bytes]:
    tool = shutil.which("ssh-keygen")
    if tool is None:
        raise _no_tool()
    try:
        return subprocess.run([tool, "-Y", *arguments], input=text, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise refuse("APPROVAL-SIGN", "the approval could not be signed", seen=f"no answer within {_TIMEOUT_S:.0f} s") from None


def _no_tool() -> RefuteError:
    return refuse(
        "APPROVAL-TOOL", "approvals are signed with OpenSSH, which is not here", seen="no ssh-keygen", next="apt-get install openssh-client"
    )
