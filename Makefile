# Two commands on a fresh machine, each doing its own set-up: `make up` and `make test`.
# ARGS="..." is passed on: make up ARGS="--task Hopper-v5", make test ARGS="-k wire".

VENV := .venv
PY := $(VENV)/bin/python
PACKAGES := libs services/sim-worker services/orchestrator services/learner services/reward-gen \
	services/dashboard
# What the environment depends on: a change here sets it up again.
INPUTS := constraints.txt scripts/setup.sh scripts/install_torch.py scripts/build-requirements.txt \
	$(addsuffix /pyproject.toml,$(PACKAGES))

# The dashboard's page, built from these by Node.
WEB := services/dashboard/web
PAGE := services/dashboard/websim_dashboard/page/index.html
PAGE_INPUTS := scripts/build_page.sh $(shell find $(WEB) -name node_modules -prune -o -type f -print)

.DEFAULT_GOAL := help
.PHONY: help setup page up test test-docker test-tools chaos lint format docs sbom audit bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

setup: $(VENV)/.ready $(PAGE) ## install everything into .venv

page: $(PAGE) ## build the dashboard's page

up: $(VENV)/.ready $(PAGE) ## start the whole stack and train, until Ctrl-C
	@$(VENV)/bin/websim up $(ARGS)

test: $(VENV)/.ready-dev $(PAGE) ## run all tests
	$(PY) -m pytest $(ARGS)

chaos: $(VENV)/.ready-dev ## hurt fleets and runs for about an hour; prints recovery times
	WEBSIM_CHAOS_SCALE=120 $(PY) -m pytest tests/chaos tests/determinism $(ARGS)

test-docker: $(VENV)/.ready-dev ## test the containers on a Docker engine, about 15 minutes
	$(PY) -m pytest tests/docker $(ARGS)

test-tools: $(VENV)/.ready-dev ## test alerts, dashboards and manifests with promtool, prometheus, kubectl
	$(PY) -m pytest tests/tools $(ARGS)

lint: $(VENV)/.ready-dev ## check style, types, import rules and generated documents
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy scripts
	$(PY) -m mypy deploy/grafana
	$(VENV)/bin/lint-imports
	$(PY) scripts/generate_docs.py --check
	$(PY) deploy/grafana/generate.py --check
	@VENV=$(VENV) scripts/build_page.sh check

format: $(VENV)/.ready-dev ## put the code in shape
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(VENV)/.ready-dev ## write the documents and dashboards that are made from code
	$(PY) scripts/generate_docs.py
	$(PY) deploy/grafana/generate.py

sbom: $(VENV)/.ready ## list what each service is made of, as CycloneDX, in dist/sbom/
	@VENV=$(VENV) scripts/supply_chain.sh sbom

audit: $(VENV)/.ready ## look up known vulnerabilities of what the services are made of
	@VENV=$(VENV) scripts/supply_chain.sh audit

bench: $(VENV)/.ready-dev ## measure the fleet and its peers on this machine
	$(VENV)/bin/websim bench $(ARGS)

clean: ## remove the environment and caches; runs/ stays
	rm -rf $(dir $(PAGE)) $(WEB)/node_modules
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(PACKAGES) tests scripts -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.ready: $(INPUTS)
	@VENV=$(VENV) scripts/setup.sh run
	@touch $@

$(PAGE): $(PAGE_INPUTS) | $(VENV)/.ready
	@VENV=$(VENV) scripts/build_page.sh build

$(VENV)/.ready-dev: $(VENV)/.ready tests/requirements.txt
	@VENV=$(VENV) scripts/setup.sh dev
	@touch $@
