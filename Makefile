# Two commands on a fresh machine with Python >= 3.11 and make:   make demo      make test
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := $(VENV)/bin
# Without these two, uv ignores the machine's certificates and may try to download a Python.
export UV_SYSTEM_CERTS = 1
export UV_PYTHON_DOWNLOADS = never
UV_PIP = $(BIN)/python -m uv pip install -q --python $(BIN)/python

.PHONY: help setup demo up test lint format check release-check browser backend-check docs deploy-check audit chaos bench lock clean
.DELETE_ON_ERROR:

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.dev ## everything into .venv

demo: $(VENV)/.run ## 8 jobs over 2 stand-in nodes on an embedded stack, verified; ends clean
	$(BIN)/comfyfleet demo $(ARGS)

up: $(VENV)/.run ## the same stack, and it stays: submit to it from another shell
	$(BIN)/comfyfleet up $(ARGS)

test: $(VENV)/.dev ## all tests, four files at once (they mostly wait), on real servers that they start and end themselves
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not release" $(ARGS)

lint: $(VENV)/.dev ## ruff, ruff format, mypy strict, import-linter, bandit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -r -c pyproject.toml producer worker infra celery_config.py

format: $(VENV)/.dev ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test ## what must hold before a commit

release-check: $(VENV)/.dev ## what a release must pass beside the tests: its wheel, installed, each block of the documentation, and long tests
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/release $(ARGS)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m release tests/acceptance tests/integration $(ARGS)

browser: $(VENV)/.dev ## the web page of the documentation in Chromium, against `comfyfleet up`; without Chromium it is said so
	.ci/browser-check $(BIN) $(ARGS)

backend-check: $(VENV)/.backends ## the examples of backends, asked as customers would, and a client generated from the API's description
	$(BIN)/python -m pytest tests/backends $(ARGS)

docs: $(VENV)/.docs ## the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "docs: open site/index.html"

deploy-check: $(VENV)/.dev ## unit, image and compose file, each by its own tool; a tool that cannot be had is named
	.ci/deploy-check $(BIN)

audit: $(VENV)/.dev ## what is known against the packages that run, by pip-audit; where nothing can be asked, it says so
	.ci/audit $(BIN)

chaos: $(VENV)/.dev ## every call of a job's life cut, every crash point killed, two versions in one fleet, then a storm
	$(BIN)/python -m pytest tests/chaos/test_enumeration.py tests/chaos/test_two_versions.py
	$(BIN)/python -m tests.chaos storm --jobs 1000 --faults 60 --minutes 6 --json

bench: $(VENV)/.dev ## every benchmark; writes the figures into the pages
	$(BIN)/python -m tests.bench all --json --readme

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "comfyfleet needs Python 3.11 or newer on PATH"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.uv: requirements/uv.txt | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.run: requirements/run.txt pyproject.toml $(VENV)/.uv
	$(UV_PIP) --require-hashes -r requirements/run.txt
	$(UV_PIP) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(UV_PIP) --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt $(VENV)/.dev
	$(UV_PIP) --require-hashes -r requirements/docs.txt
	@touch $@

$(VENV)/.backends: requirements/backends.txt requirements/generator.txt $(VENV)/.dev
	$(UV_PIP) --require-hashes -r requirements/backends.txt
	$(BIN)/python -m uv venv -q --clear --python $(BIN)/python $(VENV)/generator
	$(BIN)/python -m uv pip install -q --python $(VENV)/generator --require-hashes -r requirements/generator.txt
	@touch $@

COMPILE = $(BIN)/python -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

lock: $(VENV)/.uv ## write requirements/*.txt anew, without hosts or paths
	$(COMPILE) --extra local --extra api pyproject.toml -o requirements/run.txt
	$(COMPILE) -c requirements/run.txt --extra hooks --extra pictures pyproject.toml -o requirements/worker.txt
	$(COMPILE) -c requirements/run.txt --extra api --extra hooks pyproject.toml -o requirements/api.txt
	$(COMPILE) -c requirements/run.txt --group dev --extra local --extra api pyproject.toml -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt --group docs pyproject.toml -o requirements/docs.txt
	$(COMPILE) -c requirements/dev.txt --group browser -o requirements/browser.txt
	$(COMPILE) -c requirements/dev.txt --group audit -o requirements/audit.txt
	$(COMPILE) -c requirements/dev.txt --group backends -o requirements/backends.txt
	$(COMPILE) --group generator -o requirements/generator.txt
	$(COMPILE) -c requirements/dev.txt --group deploy -o requirements/deploy.txt
	printf 'uv\n' | $(COMPILE) -c requirements/dev.txt - -o requirements/uv.txt
	@! grep -nE '(https?|file)://' requirements/*.txt || { echo "a lock names a host or a path"; exit 1; }

clean: ## remove what the targets above made
	rm -rf $(VENV) .comfyfleet comfyfleet-demo.png site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
