# Each target sets up what it needs. All state is in .venv and build; `make clean` removes it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON_VENV := .venv/bin/python

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the whole plan on the sandbox; FAULT=errors@50 breaks the candidate at 50 %, FAULT=wrong_pnl@live3 its live engines
	@sandbox/demo.sh $(FAULT)

.PHONY: test
test: ## Pass all tests: lint, unit, integration, molecule, e2e
	@sandbox/bootstrap.sh sandbox test lint
	@$(PYTHON_VENV) tests/run.py lint unit integration molecule e2e

.PHONY: lint unit integration molecule e2e
lint: ## Lint code, roles, playbooks and documentation
	@sandbox/bootstrap.sh lint
	@$(PYTHON_VENV) tests/run.py lint

unit: ## Run the unit tests
	@sandbox/bootstrap.sh sandbox test
	@$(PYTHON_VENV) tests/run.py unit

integration: ## Run the plugins against real Caddy and Prometheus
	@sandbox/bootstrap.sh sandbox test
	@$(PYTHON_VENV) tests/run.py integration

molecule: ## Run the roles' scenarios on real engines
	@sandbox/bootstrap.sh sandbox test
	@$(PYTHON_VENV) tests/run.py molecule

e2e: ## Run whole rollouts on the sandbox, with and without faults
	@sandbox/bootstrap.sh sandbox test
	@$(PYTHON_VENV) tests/run.py e2e

.PHONY: chaos
chaos: ## Kill Phase 2 at random instants, and inject every fault; RUNS=200 kills, SEED= repeats a series, ONLY=<fault> tries one
	@sandbox/bootstrap.sh sandbox test
	@PYTHONPATH=collections SANDBOX_TRAFFIC_RATE=20 $(PYTHON_VENV) -m tests.chaos.run $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(addprefix --only ,$(ONLY))

.PHONY: setup up down status
setup: ## Set up what the sandbox needs, and start nothing but a Docker engine where there is none
	@sandbox/bootstrap.sh sandbox

up: ## Start the sandbox's daemons, without a rollout
	@sandbox/bootstrap.sh sandbox
	@$(PYTHON_VENV) sandbox/sandbox.py up

down: ## Stop the sandbox's daemons
	@[[ ! -f .venv/.done/pip-sandbox ]] || $(PYTHON_VENV) sandbox/sandbox.py down

status: ## Show the sandbox's daemons
	@[[ -f .venv/.done/pip-sandbox ]] || { echo "nothing is set up: make demo"; exit 1; }
	@$(PYTHON_VENV) sandbox/sandbox.py status

# One rule for each benchmarks/<name>.py; it writes build/bench/<name>.json.
# Not phony: make looks for pattern rules only for what it thinks are files.
bench-edge: ## Compare the split with plain Caddy, HAProxy and no proxy
bench-gate: ## Measure what a look costs, against uri and a bare loop
bench-decisions: ## Compare the verdicts with those of the field's rules, on simulated rollouts
bench-rollback: ## Time the way to the safe state, against the plan's runbook in shell and a plain playbook
bench-%:
	@sandbox/bootstrap.sh sandbox bench
	@$(PYTHON_VENV) benchmarks/$*.py

.PHONY: constraints
constraints: ## Pin all Python packages anew; PYTHONS="python3.11 python3.13" names the interpreters to resolve for
	@sandbox/bootstrap.sh lint
	@$(PYTHON_VENV) sandbox/lock.py constraints $(or $(PYTHONS),python3)

.PHONY: clean
clean: ## Stop and remove all that was started or made here, and nothing else
	@sandbox/clean.sh
