# `make run` and `make test` are all that a fresh Debian or Ubuntu machine with Python 3.11+ needs.
# ARGS goes to the command that a target runs: make run ARGS="--listen 127.0.0.1:9999", make test ARGS="-k loadavg".
.PHONY: help run test test-slow bench lint docs proto lock clean
.DEFAULT_GOAL := help

python := .venv/bin/python

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/run ## show this node: installs into .venv and runs `headroom up`
	@.venv/bin/headroom up $(ARGS)

test: .venv/dev lint ## lint, then every test that does not take minutes
	@$(python) -m tests.tools.peers
	@$(python) -m tests.node_vm.build
	@$(python) -m tests.image.ingredients
	@$(python) -m pytest $(ARGS)

test-slow: .venv/dev ## the tests that take minutes
	@$(python) -m tests.tools.peers
	@$(python) -m tests.node_vm.build
	@$(python) -m tests.image.ingredients
	@$(python) -m pytest -m slow -o faulthandler_timeout=3600 $(ARGS)

bench: .venv/dev ## the benchmarks, each beside its peer
	@$(python) -m tests.tools.peers
	@$(python) -m benchmarks $(ARGS)

lint: .venv/dev ## ruff and mypy
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

docs: .venv/dev ## docs/metrics.md, from the declared families
	@$(python) -m tests.tools.metrics_page $(ARGS)

proto: .venv/dev ## agent/wire/ingest_pb2.py, from proto/headroom/ingest/v1/ingest.proto
	@$(python) -m tests.tools.proto

lock: .venv/dev ## requirements/, what an image installs: the newest versions that pyproject.toml allows, with their hashes
	@$(python) -m tests.tools.lock $(ARGS)

clean: ## remove what the other targets made
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist ./*.egg-info benchmarks/results.json
	find agent tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The script touches both when it made the larger one.
.venv/run .venv/dev: pyproject.toml tests/tools/venv.sh
	@tests/tools/venv.sh $(filter dev,$(notdir $@))
