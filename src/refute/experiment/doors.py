"""Finds the services and programs of this host, and the proxies of it and of others, that a run needs, and has them join its link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable

from refute.core.errors import EXIT_INCONCLUSIVE, RefuteError, refuse
from refute.core.hosts import same_origin
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component
from refute.experiment.link import Link
from refute.injectors.door import Sign, invite, signs
from refute.safety.far_guard import asked, open_there
from refute.safety.state import doors_directory

_JOIN_S = 5.0
_LOOK_S = 0.5


async def invite_proxies(link: Link, components: Iterable[Component]) -> None:
    """Have every proxy join that stands before a component which is reached `via: proxy`; those that have joined already stay.

    Args:
        link: of the run.
        components: of the system.

    Raises:
        RefuteError: a component has none (`PROXY-NONE`).
    """
    for component in components:
        if component.via == "proxy" and not _joined(link, component):
            refusals = await (_invite_there if component.place.host else _invite_before)(link, component)
            if not _joined(link, component):
                raise refuse(
                    "PROXY-NONE", f"no proxy stands before {component.name}", exit_code=EXIT_INCONCLUSIVE,
                    seen="; ".join(map(str, refusals)) or "none was found",
                    allowed=f"a proxy whose own address or upstream is that of {component.endpoint}",
                    next=f"refute proxy --upstream {component.endpoint or 'URL'}",
                )  # fmt: skip


async def invite_programs(link: Link, components: Iterable[Component]) -> None:
    """Have every process of every program join in which calls of a component are to be broken (`via: exec NAME`).

    Args:
        link: of the run.
        components: of the system.

    Raises:
        RefuteError: none of a program's processes joins (`EXEC-NONE`).
    """
    for name in programs(components):
        refusals = await invite_named(link, "exec", [name])
        if not any(peer.role == "exec" and name in peer.serves for peer in link.live()):
            raise refuse(
                "EXEC-NONE", f"no process of a program named {name} has joined", exit_code=EXIT_INCONCLUSIVE,
                seen="; ".join(map(str, refusals)) or "none was found", allowed="a Python program that was started by `refute exec`",
                next=f"refute exec --name {name} -- COMMAND",
            )  # fmt: skip


def programs(components: Iterable[Component]) -> list[str]:
    """Return the names of the programs in which calls of components are to be broken."""
    return sorted({component.program for component in components} - {""})


async def keep_inviting(link: Link, components: Iterable[Component], every_s: float = _LOOK_S) -> None:
    """Have processes join that such programs start during the run; to be cancelled.

    Args:
        link: of the run.
        components: of the system.
        every_s: how often to look, seconds.
    """
    while names := programs(components):
        await asyncio.sleep(every_s)
        await invite_named(link, "exec", names)


async def invite_named(link: Link, role: str, names: Collection[str]) -> list[Exception]:
    """Have every process of some services or programs join that has not yet.

    Args:
        link: of the run.
        role: `service` or `exec`.
        names: of the services or programs.

    Returns:
        Why those do not join that do not.
    """
    known = {peer.pid for peer in link.live() if not peer.host}
    return await _invite(link, lambda sign: sign.role == role and sign.pid not in known and bool(set(sign.serves) & set(names)))


async def _invite(link: Link, wanted: Callable[[Sign], bool]) -> list[Exception]:
    """Knock at every door that is wanted; return why those do not join that do not."""
    refusals: list[Exception] = []
    for sign in filter(wanted, list(signs(doors_directory()))):
        why = await asyncio.to_thread(invite, sign, link.environment)
        if why:
            refusals.append(ChildProcessError(f"process {sign.pid}: {why}"))
        else:
            with contextlib.suppress(TimeoutError):
                await link.joined(sign.role, _JOIN_S, sign.pid)
    return refusals


async def _invite_before(link: Link, component: Component) -> list[Exception]:
    """Have the proxies of this host join that stand before a component."""
    return await _invite(link, lambda sign: sign.role == "proxy" and sign.stands_before(component.endpoint))


async def _invite_there(link: Link, component: Component) -> list[Exception]:
    """Have the guardian of the component's host let a proxy there join; return why none does."""
    place = component.place
    try:
        async with asyncio.timeout(2 * _JOIN_S):
            reader, writer = await open_there(place.guardian)
            token = link.environment[TOKEN_VARIABLE]
            await asked(reader, writer, {"id": 1, "op": "relay", "endpoint": component.endpoint, "token": token})
            await link.adopt(reader, writer, place.host, _JOIN_S)
    except RefuteError as error:
        return [ChildProcessError(f"{place.host}: {error.problems[0].seen or error.problems[0].what}")]
    except TimeoutError:
        return [ChildProcessError(f"{place.host}: no answer in time")]
    return []


def _joined(link: Link, component: Component) -> bool:
    return any(peer.role == "proxy" and any(same_origin(url, component.endpoint) for url in peer.serves) for peer in link.live())
