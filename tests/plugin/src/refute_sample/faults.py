"""The fault: it says what it is; how it is injected into a flag is the injector's business, into functions the built-in one's."""

from refute.faults.spec import Fault
from refute.wire.exchange import PythonStrike

FLIPPED = Fault(
    name="flags.flipped",
    summary="A feature flag says the opposite.",
    kinds=frozenset({"feature_store", "datastore"}),
    hazard="wrong_answer",
    effect="a boolean comes back as its opposite",
    landing="counted as the opposite is returned",
    belief="A flag that flips by mistake does not lose data",
    source="flag rollouts to the wrong half of the users",
    typical_share=0.1,
    strike_python=lambda _call, _magnitude, _rng: PythonStrike("flipped", rewrite=lambda value: not value),
)

FAULTS = (FLIPPED,)
