# `make demo` and `make test` need make and a Python (3.11 - 3.14), nothing else. Each target first brings .venv
# up to requirements.lock and pyproject.toml; where it is, the network is not asked.
BIN := .venv/bin
# These start no servers and measure no time, so they share the cores; what does has them for itself.
SHARING := tests/core tests/laws tests/simulation tests/testing tests/acceptance tests/views
NOTEBOOKS := $(BIN)/python -m pytest -q --nbval --nbval-current-env notebooks

.PHONY: help install demo test test-slow local-llm lint docs format pythons bench screenshots lock clean
.NOTPARALLEL:

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

install: ## .venv with the locked packages and this checkout
	@sh .ci/bootstrap

demo: install ## the demo
	$(BIN)/hexdag-lab demo

test: lint docs ## everything that must hold: lint, the documentation, the suite, the notebooks, the graph on every other Python present
	@sh .ci/packages
	$(BIN)/python -m pytest -m "not slow" -n logical --dist worksteal $(SHARING)
	$(BIN)/python -m pytest -m "not slow" $(SHARING:%=--ignore=%)
	$(NOTEBOOKS)
	@sh .ci/pythons tests/core/base tests/core/dag tests/pythons

test-slow: install ## the rest: slow tests, the notebooks three times in a row, all of the core on every other Python present
	@sh .ci/packages
	@sh .ci/local-llm
	@sh .ci/ipykernel-6
	$(BIN)/python -m pytest -m slow
	for time in first second third; do $(NOTEBOOKS) || exit; done
	@sh .ci/pythons tests/core tests/laws tests/pythons

local-llm: install ## agents with a small real model: installs it (130 MB) and runs their tests
	@sh .ci/local-llm
	$(BIN)/python -m pytest -m local_llm

lint: install ## style, types and the arrows between the parts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: install ## the documentation as a site, in build/docs; a broken link or an unknown name is an error
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -d build/doctrees -c docs . build/docs
	@echo "the documentation: build/docs/index.html"

format: install ## what lint can put right by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

pythons: install ## only the tests on the other Pythons
	@sh .ci/pythons tests/core tests/laws tests/pythons

bench: install ## the published figures: overhead over Dask, the graph, import, the search, drawing, proposals, votes, stores
	@sh .ci/bench
	$(BIN)/python -m tests.benchmarks.makespan
	$(BIN)/python -m tests.benchmarks.imports
	$(BIN)/python -m tests.benchmarks.live
	$(BIN)/python -m tests.benchmarks.frames
	$(BIN)/python -m tests.benchmarks.views
	$(BIN)/python -m tests.benchmarks.proposals
	$(BIN)/python -m tests.benchmarks.search
	$(BIN)/python -m tests.benchmarks.votes
	$(BIN)/python -m tests.benchmarks.stores
	$(BIN)/python -m tests.benchmarks.attach
	$(BIN)/python -m tests.benchmarks.brief
	$(BIN)/python -m tests.benchmarks.injection

screenshots: install ## the pictures in README, from a run of the demo
	$(BIN)/python docs/make_screenshots.py

lock: ## remake requirements.lock from pyproject.toml (newer releases: make lock ARGS=--upgrade)
	@sh .ci/lock $(ARGS)

clean: ## remove the environments and what the tools left
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
