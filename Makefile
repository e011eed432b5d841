# Each target does its own set-up in .venv; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
LICENCES := MIT;BSD;Apache;ISC;PSF;Python Software Foundation;LGPL;MPL;Unlicense
BUILDER ?= docker
TAG ?= junction-monitor
REVISION ?= $(shell git rev-parse HEAD)
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help demo run test e2e chaos fuzz mutants lint format bench bench-alerts soak image generate pictures lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## watch connections break, be found and heal, against a simulated Junction (ARGS="--duration 30s --no-live")
	@$(BIN)/python -m monitor demo $(ARGS)

run: $(VENV)/.runtime ## run the daemon with ./config.yaml or the environment (ARGS="--config my.yaml")
	@$(BIN)/python -m monitor $(ARGS) run

test: $(VENV)/.dev ## run all tests, on SQLite and a real PostgreSQL, with coverage (ARGS="-k name")
	@$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term $(if $(ARGS),,--cov-fail-under=90) $(ARGS)

e2e: $(VENV)/.dev ## play a wave and a revoked key through two daemons, PostgreSQL, Prometheus and Alertmanager in two minutes
	@$(BIN)/python -m pytest -m tools tests/e2e $(ARGS)

chaos: $(VENV)/.dev ## the proofs under fire in their long form: every crash point, 500 kills, long lives (hours; ARGS="-k kill")
	@CHAOS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m chaos $(ARGS)

fuzz: $(VENV)/.fire ## fuzz the reader of Junction's answers for a minute (ARGS=-max_total_time=3600: an hour)
	@$(BIN)/python -m tests.chaos.fuzz_reader $(or $(ARGS),-max_total_time=60)

mutants: $(VENV)/.fire ## break the core in some thousand ways and see which the tests of the core do not notice (half an hour)
	@$(BIN)/mutmut run $(ARGS)

lint: $(VENV)/.dev ## style, types, layers, dependencies, the image's recipe
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/yamllint --strict .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml monitor migrations
	@$(BIN)/pip-licenses --from=mixed --partial-match --allow-only="$(LICENCES)" --order=license --packages \
	  $$(sed -n 's/^\([a-z0-9._-]*\)==.*/\1/p' requirements.txt) >/dev/null && echo "licences: all allowed"
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml

format: $(VENV)/.dev ## lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure speed and size beside other clients in under two minutes (ARGS=--full: all sizes, keeps RESULTS.md)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

bench-alerts: $(VENV)/.dev ## measure the quality of alert decisions over a simulated month in about a minute (ARGS="--seed 2")
	@$(BIN)/python -m tests.benchmarks.alerts $(ARGS)

soak: $(VENV)/.dev ## live a simulated month of 100,000 users and keep its figures (half an hour; ARGS="--users 10000 --days 10")
	@$(BIN)/python -m tests.benchmarks.soak $(ARGS)

image: ## build the image and write its SBOM beside it, dist/junction-monitor.cdx.json (BUILDER=podman, TAG=name)
	$(BUILDER) build --file deploy/Dockerfile --build-arg REVISION="$(REVISION)" --tag "$(TAG)" $(ARGS) .
	@mkdir -p dist
	@made=$$($(BUILDER) create "$(TAG)") && $(BUILDER) cp "$$made:/opt/monitor/sbom.cdx.json" dist/junction-monitor.cdx.json; \
	  status=$$?; $(BUILDER) rm "$$made" >/dev/null; exit $$status

generate: $(VENV)/.dev ## write what is made of deploy/: values.schema.json, plain manifests, dashboards (needs helm)
	@$(BIN)/python -m deploy.generate

pictures: $(VENV)/.dev ## play some minutes and draw the dashboards with their data, deploy/grafana/*.png (needs prometheus)
	@$(BIN)/python -m tests.deploy.pictures

lock: $(VENV)/.dev ## resolve the requirements again after pyproject.toml changed
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra postgres pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra postgres --group dev -c requirements.txt pyproject.toml \
	  -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --group build -c requirements-dev.txt -o requirements-build.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --group fire -c requirements-dev.txt -o requirements-fire.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist mutants .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV)

# Without dependencies: the lists are complete, and pip would look for a newer one of what another asks for with an extra.
$(VENV)/.runtime: requirements.txt | $(BIN)/python
	@echo "setting up $(VENV) …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) for development …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.runtime $@

$(VENV)/.fire: requirements-fire.txt $(VENV)/.dev
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-fire.txt
	@touch $@
