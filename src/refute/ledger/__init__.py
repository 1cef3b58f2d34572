"""The ledger: an append-only record of intents, forecasts, experiments, verdicts and evidence, each chained to the one before."""

from refute.ledger.chain import GENESIS, canonical, digest_of
from refute.ledger.store import DEFAULT_PATH, Ledger
from refute.ledger.verify import Report

__all__ = ["DEFAULT_PATH", "GENESIS", "Ledger", "Report", "canonical", "digest_of"]
