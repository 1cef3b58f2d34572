"""Which experiment a campaign runs next: the plan's best, but one in every block of twenty at random, at a random place of the block.

The random ones estimate what the planner never chooses; each run's propensity is kept, so that both kinds can be weighed together. All
choices follow from the campaign's seed and the number of the run, so that a campaign which goes on after a crash makes the ones that it
would have made.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from refute.campaign.plan import Proposal

BLOCK: Final = 20


def is_random(seed: int, number: int) -> bool:
    """Say whether a run is drawn at random.

    Args:
        seed: of the campaign.
        number: of the run in the campaign, from 0.
    """
    block, place = divmod(number, BLOCK)
    return random.Random(f"{seed} block {block}").randrange(BLOCK) == place


def choose(ranked: Sequence[Proposal], everything: Sequence[Proposal], seed: int, number: int) -> Proposal | None:
    """Return the experiment to run, with its propensity; None where nothing is worth it.

    Args:
        ranked: experiments that are worth it, best first.
        everything: experiments that may run, whether or not they are worth it.
        seed: of the campaign.
        number: of the run in the campaign, from 0.
    """
    if not ranked:
        return None
    pool = sorted(everything, key=_name)
    drawn = is_random(seed, number) and bool(pool)
    chosen = random.Random(f"{seed} draw {number}").choice(pool) if drawn else ranked[0]
    share = 1 / BLOCK / len(pool) if pool and any(_name(one) == _name(chosen) for one in pool) else 0.0
    best = (1 - 1 / BLOCK) if _name(chosen) == _name(ranked[0]) else 0.0
    why = (*chosen.reasons, "drawn at random: one run in twenty is, to see what the plan never chooses") if drawn else chosen.reasons
    return replace(chosen, propensity=share + best, random=drawn, reasons=why)


def _name(proposal: Proposal) -> tuple[str, ...]:
    return tuple(belief.id for belief in proposal.beliefs)
