"""What a run on one belief tells of the others: which calls pass harm on is learned from every run, and many beliefs hang on one call.

The model is that of `learning/planner/graph.py`, which needs numpy. Without it beliefs still borrow from their relatives (`kin.py`); what
is lost is that a run is worth more where others hang on its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from refute.campaign.plan import Proposal, cost_of
from refute.campaign.standing import Standing
from refute.core.intent import Belief, Intent
from refute.learning import Prices, score
from refute.system.graph import entries_of

if TYPE_CHECKING:
    from refute.learning.planner.graph import Candidates, GraphModel
    from refute.learning.propagation.kinds import Floats

MISSING = "numpy is not installed, so what a run tells of other beliefs is left out (pip install 'refute[planner]')"
_TOLD = 0.5
"""Share of a bit about whether harm reaches an entry point that is a bit about a belief: that one also has a criterion of its own."""
_DOSE = 1.0  # a fault that landed makes its calls fail, however strong it was
_LEAST = 0.01
_MOST = 40  # proposals that are looked at, best first


def available() -> bool:
    """Say whether the model can be used here."""
    return find_spec("numpy") is not None


def with_others(
    intent: Intent, standings: Mapping[str, Standing], proposals: Sequence[Proposal], risk_price: float
) -> tuple[Proposal, ...]:
    """Return proposals whose value counts what they tell of other open beliefs, ranked anew; as they were where numpy is missing.

    Args:
        intent: validated.
        standings: where each belief stands.
        proposals: best first.
        risk_price: λ of the score.
    """
    others = [belief for belief in intent.beliefs.values() if not standings[belief.id].answered]
    if not available() or len(others) < 2 or not proposals:
        return tuple(proposals)
    model = _Model(intent, standings)
    told = [_told(model, one, others, standings, risk_price) for one in proposals[:_MOST]]
    return tuple(sorted([*told, *proposals[_MOST:]], key=lambda one: -one.score))


def _told(model: _Model, one: Proposal, others: Sequence[Belief], standings: Mapping[str, Standing], risk_price: float) -> Proposal:
    own = {belief.id for belief in one.beliefs}
    bits = model.bits(one.beliefs[0], [other for other in others if other.id not in own])
    bits = {name: min(_TOLD * found, standings[name].claim.information(50)) for name, found in bits.items()}
    bits = {name: found for name, found in bits.items() if found >= _LEAST}
    if not bits:
        return one
    more = sum(cost_of(standings[name].belief) * found for name, found in bits.items())
    several = "another belief hangs" if len(bits) == 1 else f"{len(bits)} other beliefs hang"
    why = f"{several} on the same calls: {sum(bits.values()):.2f} bits about {', '.join(sorted(bits))}"
    return replace(
        one,
        value=one.value + more,
        score=score(one.value + more, one.risk, Prices(risk=risk_price)),
        others=bits,
        reasons=(*one.reasons, why),
    )


class _Model:
    """The graph of an intent, and what tested beliefs say of its calls.

    Args:
        intent: validated.
        standings: where each belief stands.
    """

    def __init__(self, intent: Intent, standings: Mapping[str, Standing]) -> None:
        import numpy as np

        from refute.learning.planner.graph import CallGraph, GraphModel

        system = intent.system
        self._place = {name: place for place, name in enumerate(system.components)}
        calls = [
            (caller, callee) for caller, one in system.components.items() for callee in dict.fromkeys(one.calls) if callee in self._place
        ]
        traffic = [min(1.0, _met(intent, callee) / max(_met(intent, caller), 1e-9)) for caller, callee in calls]
        families = sorted({_family(belief) for belief in intent.beliefs.values()})
        self._families = {name: place for place, name in enumerate(families)}
        ends = np.array([[self._place[name] for name in call] for call in calls], dtype=np.int64).reshape(-1, 2)
        entries = np.array(sorted(self._place[name] for name in entries_of(system)), dtype=np.int64)
        graph = CallGraph(len(self._place), ends[:, 0], ends[:, 1], np.array(traffic, dtype=float), entries)
        self._model = GraphModel(graph, len(families))
        for standing in standings.values():
            if standing.verdict in {"held", "refuted"}:
                self._observe(self._model, standing.belief, held=standing.verdict == "held")

    def bits(self, belief: Belief, others: Sequence[Belief]) -> dict[str, float]:
        """Return the expected information about whether other beliefs' faults do harm, by id, of a run on one."""
        import numpy as np

        if not others:
            return {}
        asked = self._candidates(others)
        now = self._model.score(asked, Prices()).risk
        harm = float(self._model.score(self._candidates([belief]), Prices()).risk[0])
        left = np.zeros(len(others))
        for held, chance in ((True, 1.0 - harm), (False, harm)):
            supposed = deepcopy(self._model)
            self._observe(supposed, belief, held=held)
            left += chance * _entropy(supposed.score(asked, Prices()).risk)
        found = np.maximum(0.0, _entropy(now) - left)
        return {other.id: float(bits) for other, bits in zip(others, found, strict=True)}

    def _observe(self, model: GraphModel, belief: Belief, *, held: bool) -> None:
        model.harm(model.fatal())
        place = self._place[belief.when.target]
        model.observe(place, self._families[_family(belief)], _DOSE, failed=True, available=held)

    def _candidates(self, beliefs: Sequence[Belief]) -> Candidates:
        import numpy as np

        from refute.learning.planner.graph import Candidates

        places = np.array([self._place[belief.when.target] for belief in beliefs], dtype=np.int64)
        families = np.array([self._families[_family(belief)] for belief in beliefs], dtype=np.int64)
        return Candidates(places, families, np.full(len(beliefs), _DOSE))


def _met(intent: Intent, name: str) -> float:
    """Return the share of traffic that meets a component, 1 where nobody knows."""
    return intent.system.reach.get(name, 1.0)


def _family(belief: Belief) -> str:
    return belief.when.fault.split(".", 1)[0]


def _entropy(p: Floats) -> Floats:
    import numpy as np

    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    bits: Floats = -(clipped * np.log2(clipped) + (1 - clipped) * np.log2(1 - clipped))
    return bits
