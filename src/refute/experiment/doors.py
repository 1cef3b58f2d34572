"""Finds the proxies, of this host and of others, and the programs that a run's components are reached through; has them join its link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from refute.core.errors import EXIT_INCONCLUSIVE, RefuteError, refuse
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component
from refute.experiment.link import Link
from refute.injectors.door import invite, same_origin, signs
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
            refusals = await (_invite_there if component.place.host else _invite)(link, component)
            if not _joined(link, component):
                raise refuse(
                    "PROXY-NONE", f"no proxy stands before {component.name}", exit_code=EXIT_INCONCLUSIVE, seen="; ".join(refusals),
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
    for name in _programs(components):
        refusals = await _invite_program(link, name)
        if not any(peer.role == "exec" and name in peer.serves for peer in link.live()):
            raise refuse(
                "EXEC-NONE", f"no process of a program named {name} has joined", exit_code=EXIT_INCONCLUSIVE,
                seen="; ".join(refusals) or "none was found", allowed="a Python program that was started by `refute exec`",
                next=f"refute exec --name {name} -- COMMAND",
            )  # fmt: skip


async def invite_newcomers(link: Link, components: Iterable[Component], every_s: float = _LOOK_S) -> None:
    """Have processes join that such a program starts during the run; to be cancelled.

    Args:
        link: of the run.
        components: of the system.
        every_s: how often to look, seconds.
    """
    while names := _programs(components):
        await asyncio.sleep(every_s)
        for name in names:
            await _invite_program(link, name)


def _programs(components: Iterable[Component]) -> list[str]:
    return sorted({component.program for component in components} - {""})


async def _invite_program(link: Link, name: str) -> list[str]:
    """Knock at every door of a program that is still closed; return why those that do not join do not."""
    refusals = []
    known = {peer.pid for peer in link.live() if not peer.host}
    for sign in signs(doors_directory()):
        if sign.role != "exec" or name not in sign.serves or sign.pid in known:
            continue
        why = await asyncio.to_thread(invite, sign, link.environment)
        if why:
            refusals.append(f"process {sign.pid}: {why}")
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
