"""Simulated runs: evidence by the definition of the tests and in another way than the library, for many runs at once."""

import numpy as np

from refute.stats import clopper_pearson
from refute.stats.relative import _PRIOR_WEIGHT

RUNS = 2000
ALPHA = 0.05


def within(errors, alpha=ALPHA):
    """Whether a count of errors among all runs is consistent with a rate of at most alpha."""
    count = int(np.sum(errors))
    return clopper_pearson(count, len(errors))[0] <= alpha


def crossings(breaches, test):
    """For each run (row): first unit at which `refuted` and at which `held` is crossed; units + 1 for never."""
    units = breaches.shape[1]
    rows = test.boundaries(units)[1:]
    hold = np.array([-1 if row[0] is None else row[0] for row in rows])
    refute = np.array([units + 1 if row[1] is None else row[1] for row in rows])
    counts = np.cumsum(breaches, axis=1)
    return first(counts >= refute), first(counts <= hold)


def first(reached):
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, reached.shape[1] + 1)


def crossed(places, units):
    return places <= units


def bets(edges, fractions, *, restarts=False):
    """Largest evidence of each run from its edges (runs, units), by the definition of the bets and in another way than the library."""
    fractions = np.array(fractions)
    wealth = np.zeros((edges.shape[0], len(fractions)))
    largest = np.ones(edges.shape[0])
    places = np.full(edges.shape[0], edges.shape[1] + 1)
    for i in range(edges.shape[1]):
        joining = (0.5 if i == 0 else 0.5 / (i * (i + 1))) if restarts else float(i == 0)
        wealth = (wealth + joining) * (1.0 + fractions * edges[:, i, None])
        largest = np.maximum(largest, wealth.mean(axis=1) + (0.5 / (i + 1) if restarts else 0.0))
        places[(largest >= 1 / ALPHA) & (places > edges.shape[1])] = i + 1
    return np.log(largest), places


def relative_edges(treatment, breaches, share, bound, baseline, *, worse=True):
    """Edges of the relative bets where each unit is resolved before the next begins."""
    past = np.cumsum(breaches, axis=1) - breaches
    mean = (baseline * _PRIOR_WEIGHT + past) / (_PRIOR_WEIGHT + np.arange(breaches.shape[1]))
    x = np.where(treatment, (breaches - mean) / share, -(breaches - mean) / (1 - share))
    if worse:
        return (x - bound) / (bound + np.maximum(mean / share, (1 - mean) / (1 - share)))
    return (bound - x) / (np.maximum((1 - mean) / share, mean / (1 - share)) - bound)


def share_of(reached):
    return float(np.mean(reached))


def stopped_by_treatment(edges, treated, fractions):
    """Restarting bets on the treatment units alone, whose number differs from run to run."""
    fractions = np.array(fractions)
    wealth, largest = np.zeros((len(edges), len(fractions))), np.ones(len(edges))
    place = np.zeros(len(edges))
    for i in range(edges.shape[1]):
        joining = np.where(place == 0, 0.5, 0.5 / np.maximum(1, place * (place + 1)))
        played = (wealth + joining[:, None]) * (1.0 + fractions * edges[:, i, None])
        wealth = np.where(treated[:, i, None], np.minimum(played, 1e300), wealth)
        total = wealth.mean(axis=1) + 0.5 / (place + 1)
        largest = np.where(treated[:, i], np.maximum(largest, total), largest)
        place += treated[:, i]
    return largest >= 1 / ALPHA
