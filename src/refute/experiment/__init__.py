"""One run: workload, link, cohorts, phases, verdict."""
