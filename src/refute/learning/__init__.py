"""What experiments teach: confidence, information, value and calibration."""

from refute.learning.account import Account, BeliefAccount, Scored, account
from refute.learning.blast import Comparison, PassedOn, compare, learn_from, predicted_harm, predicted_journeys
from refute.learning.calibration import Bin, Calibration, calibrate, calibrate_verdicts, reliability_table
from refute.learning.claim import (
    Claim,
    Counts,
    learned_bits,
    mean_counts,
    relative_counts,
    surprisal_bits,
    surprise_bits,
)
from refute.learning.depth import Depth, depth_of
from refute.learning.findings import Finding, findings
from refute.learning.psychometric import Shape
from refute.learning.relatives import Prediction, Relative, Traits, kinship, kinship_of_several, predicted
from refute.learning.resilience import Resilience, resilience
from refute.learning.runs import Seen, combined
from refute.learning.staleness import Decay, Repeat, learn_decay, mixed, overlaps
from refute.learning.threshold import CAREFUL, CurvePoint, Interval, Threshold, prior_of
from refute.learning.value import COST_WEIGHTS, Prices, cost_if_wrong, expected_spend, score, value

__all__ = [
    "CAREFUL",
    "COST_WEIGHTS",
    "Account",
    "BeliefAccount",
    "Bin",
    "Calibration",
    "Claim",
    "Comparison",
    "Counts",
    "CurvePoint",
    "Decay",
    "Depth",
    "Finding",
    "Interval",
    "PassedOn",
    "Prediction",
    "Prices",
    "Relative",
    "Repeat",
    "Resilience",
    "Scored",
    "Seen",
    "Shape",
    "Threshold",
    "Traits",
    "account",
    "calibrate",
    "calibrate_verdicts",
    "combined",
    "compare",
    "cost_if_wrong",
    "depth_of",
    "expected_spend",
    "findings",
    "kinship",
    "kinship_of_several",
    "learn_decay",
    "learn_from",
    "learned_bits",
    "mean_counts",
    "mixed",
    "overlaps",
    "predicted",
    "predicted_harm",
    "predicted_journeys",
    "prior_of",
    "relative_counts",
    "reliability_table",
    "resilience",
    "score",
    "surprisal_bits",
    "surprise_bits",
    "value",
]
