# The front door: `make help`. Every target but help and clean makes the environment first, once.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
# The CUDA build is taken where an NVIDIA driver answers; CUDA=0 or CUDA=1 overrides.
CUDA ?= $(if $(shell nvidia-smi -L 2>/dev/null),1,0)
LOCK := $(if $(filter 1,$(CUDA)),requirements-cuda.lock,requirements.lock)
VENV := .venv
READY := $(VENV)/$(LOCK).ready
HEPBENCH := $(VENV)/bin/hepbench

TASK ?=
# Options as variables: MODEL may hold several names or paths, separated by spaces.
OPTIONS = $(foreach model,$(MODEL),--model $(model)) $(foreach one,$(SET),--set $(one)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(BUDGET),--budget $(BUDGET)) \
	$(if $(DEVICE),--device $(DEVICE)) $(if $(BACKEND),--backend $(BACKEND)) $(if $(DATA),--data $(DATA)) \
	$(if $(JOBS),--jobs $(JOBS)) $(if $(SCHEDULER),--scheduler $(SCHEDULER))
# Only of the command line: a shell may have the width of its terminal under this name.
SHOWN = $(if $(findstring command,$(origin COLUMNS)),--columns "$(COLUMNS)")
ONLY_BENCH = $(if $(FROM),--from $(FROM)) $(if $(EVENTS),--events $(EVENTS)) $(if $(filter-out 0,$(TUNED)),--tuned) $(if $(filter-out 0,$(DRY)),--dry-run) $(if $(filter-out 0,$(FORCE)),--force) $(SHOWN)
STUDIED = $(if $(TRIALS),--trials $(TRIALS)) $(if $(TIMEOUT),--timeout $(TIMEOUT)) $(if $(SAMPLER),--sampler $(SAMPLER)) \
	$(if $(PRUNER),--pruner $(PRUNER)) $(foreach one,$(OBJECTIVE),--objective $(one)) $(if $(STUDY),--study $(STUDY)) \
	$(if $(MAX_LATENCY),--max-latency $(MAX_LATENCY)) $(if $(MAX_PARAMETERS),--max-parameters $(MAX_PARAMETERS))

.PHONY: help env bench reproduce tune sweep studies optuna-ui leaderboard predict evaluate data describe validate simulate measure list doctor ui test test-all faults lint tables docs lock clean

help:  ## this text
	@echo "make bench TASK=ecal        from raw data to a leaderboard; then make ui"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: TASK MODEL=\"name ./file.py\"|all SET=\"name=value\" SEEDS BUDGET=smoke|quick|standard|full DEVICE=auto|cpu|gpu BACKEND=tensorflow|jax"
	@echo "           DATA=auto|official|simulated DRY=1 FORCE=1 TUNED=1 FROM=run EVENTS=n JOBS=n FORMAT=table|json|csv|markdown COLUMNS=\"recall ...\" CUDA=0|1 PYTHON=python3.12"
	@echo "           of reproduce: STUDY=name ONLY=\"experiment ...\" BUDGET (full where none is given)"
	@echo "           of tune: TRIALS TIMEOUT=1h SAMPLER=tpe|random|nsga2 PRUNER=median|hyperband|halving|none OBJECTIVE=\"auc latency\""
	@echo "           MAX_LATENCY=1ms MAX_PARAMETERS=100k STUDY=name SCHEDULER=tcp://host:port"
	@echo "           of predict, evaluate: RUN=id FILES=\"...\" OUT=path"
	@echo "           of sweep: BATCHES=32,256,2048 EPOCHS=50 TARGET=0.95"

bench: $(READY)  ## run a model of each kind, or MODEL, on TASK (all; NAME:all: its variants), print the leaderboard
	@$(HEPBENCH) bench $(TASK) $(OPTIONS) $(ONLY_BENCH)

reproduce: $(READY)  ## the experiments of STUDY (ecal_cnn, qg_particlenet, ...) again, its document's numbers beside ours
	@$(HEPBENCH) reproduce $(STUDY) $(if $(STUDY),,--list) $(foreach one,$(ONLY),--only $(one)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(BUDGET),--budget $(BUDGET)) $(if $(DEVICE),--device $(DEVICE)) $(if $(BACKEND),--backend $(BACKEND)) \
		$(if $(DATA),--data $(DATA)) $(if $(JOBS),--jobs $(JOBS)) $(if $(SCHEDULER),--scheduler $(SCHEDULER)) \
		$(if $(FORMAT),--format $(FORMAT)) $(if $(filter-out 0,$(DRY)),--dry-run) $(if $(filter-out 0,$(FORCE)),--force)

tune: $(READY)  ## search the hyper-parameters of MODEL on TASK, test the best; resumes where it was stopped
	@$(HEPBENCH) tune $(TASK) $(OPTIONS) $(STUDIED)

SWEPT = $(if $(BATCHES),--batch-sizes "$(BATCHES)") $(if $(EPOCHS),--epochs "$(EPOCHS)") $(if $(TARGET),--target $(TARGET)) \
	$(if $(EVENTS),--events $(EVENTS)) $(if $(filter-out 0,$(DRY)),--dry-run) $(if $(filter-out 0,$(FORCE)),--force)

sweep: $(READY)  ## time MODEL on TASK with batches of 32 to 40,960 events on each device, find the size that learns soonest
	@$(HEPBENCH) sweep $(TASK) $(OPTIONS) $(SWEPT)

studies: $(READY)  ## every study, with its trials and its best
	@$(HEPBENCH) studies

optuna-ui: $(READY)  ## optuna-dashboard on the studies, http://127.0.0.1:8080 (PORT=)
	@$(HEPBENCH) optuna-ui $(if $(PORT),--port $(PORT))

leaderboard: $(READY)  ## the ranking of TASK again, from the store alone
	@$(HEPBENCH) leaderboard $(TASK) $(if $(FORMAT),--format $(FORMAT)) $(SHOWN)

predict: $(READY)  ## scores of FILES, with labels or without, by the model of RUN (OUT=scores.parquet)
	@$(HEPBENCH) predict $(RUN) $(FILES) $(if $(OUT),--out $(OUT))

evaluate: $(READY)  ## every metric of the model of RUN on labelled FILES, with ROC and plots (OUT=folder)
	@$(HEPBENCH) evaluate $(RUN) $(FILES) $(if $(OUT),--out $(OUT))

data: $(READY)  ## fetch the official files of TASK (FILES=n: the first n, where fewer will do)
	@$(HEPBENCH) data $(TASK) $(if $(FILES),--files $(FILES))

describe: $(READY)  ## what TASK is, and a page with pictures of its events
	@$(HEPBENCH) describe $(TASK) $(if $(DATA),--data $(DATA)) $(if $(EVENTS),--events $(EVENTS))

validate: $(READY)  ## compare the data of TASK with its calibration figures
	@$(HEPBENCH) validate $(TASK) $(if $(DATA),--data $(DATA)) $(if $(EVENTS),--events $(EVENTS))

simulate: $(READY)  ## EVENTS=n simulated events of TASK in the official format
	@$(HEPBENCH) simulate $(TASK) --events $(EVENTS) $(if $(JOBS),--jobs $(JOBS))

measure: $(READY)  ## rates of simulating and reading every task's data, of training and prediction of every model
	@$(HEPBENCH) measure data
	@$(HEPBENCH) measure models

list: $(READY)  ## tasks, models, metrics, budgets; what is here
	@$(HEPBENCH) list

doctor: $(READY)  ## versions, devices, store, disk, data files
	@$(HEPBENCH) doctor

ui: $(READY)  ## MLflow on the same store, http://127.0.0.1:5000 (PORT=)
	@$(HEPBENCH) ui $(if $(PORT),--port $(PORT))

PYTEST := $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadscope

test: $(READY)  ## the tests, in minutes: every entry, reader, verb and page
	@$(PYTEST) -m "not long"

test-all: $(READY)  ## those and the long ones: every model on every task, kills, clusters; ONLY=long: these alone
	@$(PYTEST) $(if $(ONLY),-m "$(ONLY)")

faults: $(READY)  ## break the program some 900 times and count what is lost, in 40 minutes; ONLY="kill:17 disk": these
	@cd tests && ../$(VENV)/bin/python -m faults $(ONLY)

lint: $(READY)  ## ruff: rules and format; mypy: types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

tables: $(READY)  ## write the tables of docs/ from results, tasks and models
	@$(VENV)/bin/python docs/tables.py

docs: $(READY)  ## the pages, into build/site; fails where a table is stale
	@$(VENV)/bin/python docs/tables.py --check
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

EXTRAS := --extra simulation --extra jax --extra cluster --extra dashboard --group dev
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml $(EXTRAS)
ELSEWHERE := ; sys_platform != 'linux' or platform_machine != 'x86_64'

lock:  ## pin every version again, with hashes (needs uv)
	printf "tensorflow>=2.21$(ELSEWHERE)\nxgboost>=3$(ELSEWHERE)\n" | \
		$(COMPILE) --group cpu --overrides /dev/stdin --upgrade -o requirements.lock
	$(COMPILE) --extra cuda --upgrade -o requirements-cuda.lock

env: $(READY)  ## only make the environment

# Compiled once here: without bytecode TensorFlow takes three times as long to import.
$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: give another one, as in make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "making $(VENV) from $(LOCK), once"
	@rm -rf $(VENV)
	@if command -v uv >/dev/null; then \
		uv venv -q --python "$$(command -v $(PYTHON))" $(VENV) && \
		uv pip install -q --python $(VENV)/bin/python --compile-bytecode --require-hashes -r $(LOCK) && \
		uv pip install -q --python $(VENV)/bin/python --no-deps --no-build-isolation -e .; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $(LOCK) && \
		$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@mkdir -p $(VENV)/linked/hepbench && ln -sfn $(CURDIR)/hepbench/__init__.py $(VENV)/linked/hepbench/__init__.py
	@for room in benchmarks suite tracking; do ln -sfn $(CURDIR)/$$room $(VENV)/linked/hepbench/$$room; done
	@touch $@

clean:  ## remove the environment and caches; data/ and results/ stay
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
