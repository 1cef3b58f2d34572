"""What experiments teach: confidence, information, value and calibration."""

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
from refute.learning.value import COST_WEIGHTS, Prices, cost_if_wrong, expected_spend, score, value

__all__ = [
    "COST_WEIGHTS",
    "Bin",
    "Calibration",
    "Claim",
    "Counts",
    "Prices",
    "calibrate",
    "calibrate_verdicts",
    "cost_if_wrong",
    "expected_spend",
    "learned_bits",
    "mean_counts",
    "relative_counts",
    "reliability_table",
    "score",
    "surprisal_bits",
    "surprise_bits",
    "value",
]
