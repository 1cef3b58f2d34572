"""Statistics of one run: exact, sequential, standard library only."""

from refute.stats.answerable import PAIRED_WEIGHT, Answerability, answerable, futile
from refute.stats.beta import (
    beta_quantile,
    betainc,
    binary_entropy,
    clopper_pearson,
    jeffreys_interval,
    log_beta,
    log_betainc,
)
from refute.stats.control import ArmComparison, compare_arms, control_healthy, log_harm, p_meets, units_to_be_healthy
from refute.stats.eprocess import Decision, Evidence, RatioTest, RatioWatch, log_e_hold, log_e_refute
from refute.stats.mean import MeanTest, MeanWatch, mean_interval
from refute.stats.predictive import Base, balanced_base
from refute.stats.quantile import QuantileCriterion, QuantileEstimate, sample_quantile
from refute.stats.relative import RelativeTest, RelativeWatch
from refute.stats.stop import AbsoluteStop, AbsoluteStopWatch, RelativeStop, RelativeStopWatch

__all__ = [
    "PAIRED_WEIGHT",
    "AbsoluteStop",
    "AbsoluteStopWatch",
    "Answerability",
    "ArmComparison",
    "Base",
    "Decision",
    "Evidence",
    "MeanTest",
    "MeanWatch",
    "QuantileCriterion",
    "QuantileEstimate",
    "RatioTest",
    "RatioWatch",
    "RelativeStop",
    "RelativeStopWatch",
    "RelativeTest",
    "RelativeWatch",
    "answerable",
    "balanced_base",
    "beta_quantile",
    "betainc",
    "binary_entropy",
    "clopper_pearson",
    "compare_arms",
    "control_healthy",
    "futile",
    "jeffreys_interval",
    "log_beta",
    "log_betainc",
    "log_e_hold",
    "log_e_refute",
    "log_harm",
    "mean_interval",
    "p_meets",
    "sample_quantile",
    "units_to_be_healthy",
]
