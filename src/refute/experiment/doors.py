"""Finds the services of this host, and the proxies of it and of others, that a run needs, and has them join its link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable

from refute.core.errors import EXIT_INCONCLUSIVE, RefuteError, refuse
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component
from refute.experiment.link import Link
from refute.injectors.door import invite, same_origin, signs
from refute.safety.far_guard import asked, open_there
from refute.safety.state import doors_directory

_JOIN_S = 5.0


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
            refusals = await (_invite_there if component.place.host else _invite)(link, component)
            if not _joined(link, component):
                raise refuse(
                    "PROXY-NONE", f"no proxy stands before {component.name}", exit_code=EXIT_INCONCLUSIVE, seen="; ".join(refusals),
                    allowed=f"a proxy whose own address or upstream is that of {component.endpoint}",
                    next=f"refute proxy --upstream {component.endpoint or 'URL'}",
                )  # fmt: skip


async def invite_services(link: Link, services: Collection[str]) -> list[Exception]:
    """Have every process of some services join that has not yet; the signs of those that are gone are taken off.

    Args:
        link: of the run.
        services: their names.

    Returns:
        Why those do not join that do not.
    """
    refusals: list[Exception] = []
    for sign in list(signs(doors_directory())):
        if sign.role != "service" or not set(sign.serves) & set(services) or any(peer.pid == sign.pid for peer in link.live()):
            continue
        why = await asyncio.to_thread(invite, sign, link.environment)
        if why:
            refusals.append(ChildProcessError(f"process {sign.pid}: {why}"))
        else:
            with contextlib.suppress(TimeoutError):
                await link.joined(sign.role, _JOIN_S, sign.pid)
    return refusals


async def _invite(link: Link, component: Component) -> list[str]:
    """Knock at every door before a component; return why those that do not join do not."""
    refusals = []
    for sign in signs(doors_directory()):
        if sign.role != "proxy" or not sign.stands_before(component.endpoint):
            continue
        why = await asyncio.to_thread(invite, sign, link.environment)
        if why:
            refusals.append(f"process {sign.pid}: {why}")
        else:
            with contextlib.suppress(TimeoutError):
                await link.joined(sign.role, _JOIN_S, sign.pid)
    return refusals or ["none was found"]


async def _invite_there(link: Link, component: Component) -> list[str]:
    """Have the guardian of the component's host let a proxy there join; return why none does."""
    place = component.place
    try:
        async with asyncio.timeout(2 * _JOIN_S):
            reader, writer = await open_there(place.guardian)
            token = link.environment[TOKEN_VARIABLE]
            await asked(reader, writer, {"id": 1, "op": "relay", "endpoint": component.endpoint, "token": token})
            await link.adopt(reader, writer, place.host, _JOIN_S)
    except RefuteError as error:
        return [f"{place.host}: {error.problems[0].seen or error.problems[0].what}"]
    except TimeoutError:
        return [f"{place.host}: no answer in time"]
    return []


def _joined(link: Link, component: Component) -> bool:
    return any(peer.role == "proxy" and any(same_origin(url, component.endpoint) for url in peer.serves) for peer in link.live())
