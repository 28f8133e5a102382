# What people type. Everything that is made lies under .venv/ and .local/; `make clean` removes it.
.PHONY: help demo test test-faults lint bench up down clean lock setup setup-dev
.DEFAULT_GOAL := help

PYTHON_BIN := .venv/bin/python
TAGDESK := $(PYTHON_BIN) -m orchestrator.local
# Where lint looks.
CODE := orchestrator mapping_tools migrations triton_config benchmarks tests

# ONNX Runtime would else write an id of this machine into the home folder, and report on us.
export ORT_DISABLE_TELEMETRY := 1

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: setup ## set up, start everything, load the demo board and its pictures
	@.venv/bin/tagdesk demo

test: setup-dev ## lint, types, import rules and all tests
	@bash orchestrator/local/chromium.sh
	@$(MAKE) --no-print-directory lint
	@$(PYTHON_BIN) -m pytest -n 2 --dist loadgroup

test-faults: setup-dev ## kill, stop and fill up everything under load
	@$(PYTHON_BIN) -m pytest -o python_files='faults_*.py' tests/faults tests/pipeline tests/publish

lint: setup-dev ## style, types and import rules
	@$(PYTHON_BIN) -m ruff check $(CODE)
	@$(PYTHON_BIN) -m ruff format --check $(CODE)
	@$(PYTHON_BIN) -m mypy
	@$(PYTHON_BIN) -m mypy triton_config/backends/onnxruntime/model.py
	@.venv/bin/lint-imports

bench: setup ## measure: make bench NAME=live_latency, make bench NAME=queue_scale SCALE=0.02
	@$(PYTHON_BIN) -m benchmarks $(NAME) $(if $(SCALE),--scale $(SCALE))

up: setup ## start the stack in the background
	@$(TAGDESK) up

down: ## end the stack; its data stays
	@if [ -x $(PYTHON_BIN) ]; then $(TAGDESK) down; else echo "  nothing is set up"; fi

clean: ## end everything and remove all that was made
	@if [ -x $(PYTHON_BIN) ] && [ -d .local ]; then $(TAGDESK) down --all; fi
	@rm -rf .local .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "  clean"

# uv.lock names the index's hosts, so it stays out of git; what is committed is pinned and hashed without.
EXPORT := .venv/bin/uv export -q --format requirements-txt --no-emit-project --no-header --no-annotate
lock: setup-dev ## pin anew what pyproject.toml asks for
	@.venv/bin/uv lock -q
	@$(EXPORT) --only-group setup -o requirements-setup.lock
	@$(EXPORT) --no-dev --group setup -o requirements.lock
	@$(EXPORT) --group setup -o requirements-dev.lock

setup:
	@bash orchestrator/local/setup.sh demo

setup-dev:
	@bash orchestrator/local/setup.sh dev
