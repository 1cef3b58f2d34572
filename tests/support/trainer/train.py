"""A small logistic regression by stochastic gradient descent; it tells of its steps and of its accuracy."""

import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from table import rows

from refute.training import report


def probability(weights, row):
    return 1 / (1 + math.exp(-max(-30, min(30, weights[-1] + sum(w * x for w, x in zip(weights, row, strict=False))))))


def run(seed):
    with Path("trained.txt").open("a") as kept:
        kept.write(f"{seed}\n")
    if Path("hangs").exists():
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        print("hanging", flush=True)
        time.sleep(600)
    if Path("fails").exists():
        raise SystemExit(3)
    (data, labels), (fresh, truth) = rows(seed), make(seed)
    weights = [0.0] * 5
    for step, (row, label) in enumerate(zip(data * 2, labels * 2, strict=True), 1):
        p = probability(weights, row)
        weights = [w + 0.1 * (label - p) * x for w, x in zip(weights, [*row, 1.0], strict=True)]
        if step % 40 == 0:
            report(step=step, loss=-math.log(max(1e-9, p if label else 1 - p)))
    if Path("dices").exists():
        weights = [weight * random.SystemRandom().uniform(-1, 1) for weight in weights]
    right = sum((probability(weights, row) > 0.5) == bool(label) for row, label in zip(fresh, truth, strict=True))
    return {"accuracy": right / len(truth)}


def make(seed):
    """Rows to judge by, which no fault strikes."""
    rng = random.Random(seed + 1000)
    truth = [row % 2 for row in range(400)]
    return [[rng.gauss(1.1 if label else -1.1, 1.0) for _ in range(4)] for label in truth], truth


if __name__ == "__main__":
    print(f"accuracy={run(int(sys.argv[1]))['accuracy']:.4f}")
