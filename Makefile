# The front door: `make help`. Every target but help and clean makes the environment first, once.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# What a user gives is words, never a program: its text is taken as it stands, without `make`'s own $(...), and reaches
# the shell in quotes alone. (`override`, as what stands on the command line would win.)
GIVEN := TASK A B MODEL SET SEEDS BUDGET DEVICE BACKEND DATA DRY FORCE TUNED FROM EVENTS JOBS SCHEDULER FORMAT COLUMNS CUDA PYTHON \
	STUDY ONLY TRIALS TIMEOUT SAMPLER PRUNER OBJECTIVE MAX_LATENCY MAX_PARAMETERS RUN FILES OUT BATCHES EPOCHS TARGET PORT \
	SPLIT LABELS NAME KIND SEED TRAIN_EVENTS PARAMETERS LATENCY_MS URL CODE MEASURE
define NEWLINE


endef
COLUMNS_ASKED := $(findstring command,$(origin COLUMNS))
NAME_ASKED := $(findstring command,$(origin NAME))
$(foreach name,$(GIVEN),$(if $(filter undefined,$(origin $(name))),,$(eval override $(name) := $$(subst $$(NEWLINE), ,$$(value $(name))))))
quoted = '$(subst ','\'',$(1))'
# Of a variable that has a value. $(call given,NAME): it. option: behind an option. each: each of its words behind one.
given = $(if $($(1)),$(call quoted,$($(1))))
option = $(if $($(2)),$(1) $(call quoted,$($(2))))
each = $(foreach one,$($(2)),$(1) $(call quoted,$(one)))
flag = $(if $(filter-out 0,$($(2))),$(1))
# Files as a shell would list them; a word that names none stays, for the message.
files = $(foreach one,$($(1)),$(foreach path,$(or $(wildcard $(one)),$(one)),$(call quoted,$(path))))

PYTHON ?= python3
# The CUDA build is taken where an NVIDIA driver answers; CUDA=0 or CUDA=1 overrides.
CUDA ?= $(if $(shell nvidia-smi -L 2>/dev/null),1,0)
LOCK := $(if $(filter 1,$(CUDA)),requirements-cuda.lock,requirements.lock)
VENV := .venv
READY := $(VENV)/$(LOCK).ready
HEPBENCH := $(VENV)/bin/hepbench

# Options as variables: MODEL may hold several names or paths, separated by spaces.
COMMON = $(call option,--seeds,SEEDS) $(call option,--budget,BUDGET) $(call option,--device,DEVICE) $(call option,--backend,BACKEND) \
	$(call option,--data,DATA) $(call option,--jobs,JOBS) $(call option,--scheduler,SCHEDULER)
OPTIONS = $(call each,--model,MODEL) $(call each,--set,SET) $(COMMON)
# Only of the command line: a shell may have the width of its terminal under this name.
SHOWN = $(if $(COLUMNS_ASKED),$(call option,--columns,COLUMNS))
AGAIN = $(call flag,--dry-run,DRY) $(call flag,--force,FORCE)
ONLY_BENCH = $(call option,--from,FROM) $(call option,--events,EVENTS) $(call flag,--tuned,TUNED) $(AGAIN) $(SHOWN)
STUDIED = $(call option,--trials,TRIALS) $(call option,--timeout,TIMEOUT) $(call option,--sampler,SAMPLER) \
	$(call option,--pruner,PRUNER) $(call each,--objective,OBJECTIVE) $(call option,--study,STUDY) \
	$(call option,--max-latency,MAX_LATENCY) $(call option,--max-parameters,MAX_PARAMETERS)

.PHONY: help env bench reproduce tune sweep curve studies optuna-ui leaderboard plot rescore ensemble register compare predict evaluate export-model events score export import data describe validate simulate measure list doctor ui test test-all faults lint tables docs lock clean

help:  ## this text
	@echo "make bench TASK=ecal        from raw data to a leaderboard; then make ui"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: TASK MODEL=\"name ./file.py\"|all SET=\"name=value\" SEEDS BUDGET=smoke|quick|standard|full DEVICE=auto|cpu|gpu BACKEND=tensorflow|jax"
	@echo "           DATA=auto|official|simulated DRY=1 FORCE=1 TUNED=1 FROM=run EVENTS=n JOBS=n FORMAT=table|json|csv|markdown|latex COLUMNS=\"recall ...\" CUDA=0|1 PYTHON=python3.12"
	@echo "           of reproduce: STUDY=name ONLY=\"experiment ...\" BUDGET (full where none is given)"
	@echo "           of tune: TRIALS TIMEOUT=1h SAMPLER=tpe|random|nsga2 PRUNER=median|hyperband|halving|none OBJECTIVE=\"auc latency\""
	@echo "           MAX_LATENCY=1ms MAX_PARAMETERS=100k STUDY=name SCHEDULER=tcp://host:port"
	@echo "           of predict, evaluate: RUN=id FILES=\"...\" OUT=path, TASK=./file.py MODEL=./file.py where they are files of your own"
	@echo "           of compare: A, B, each a model, \"model name=value\", \"model tuned\", a study, the id of a run or a configuration, scores.parquet; BUDGET"
	@echo "           of events: SPLIT=train|validation|test LABELS=1 OUT=file"
	@echo "           of score: FILES=scores.parquet NAME=mine SEED=n TRAIN_EVENTS=n PARAMETERS=n LATENCY_MS=x URL=... CODE=..."
	@echo "           of curve: TRAIN_EVENTS=\"500 2000 8000\" EVENTS=n"
	@echo "           of sweep: BATCHES=32,256,2048 EPOCHS=50 TARGET=0.95"

bench: $(READY)  ## run a model of each kind, or MODEL, on TASK (all; NAME:all: its variants), print the leaderboard
	@$(HEPBENCH) bench $(call given,TASK) $(OPTIONS) $(ONLY_BENCH)

reproduce: $(READY)  ## the experiments of STUDY (ecal_cnn, qg_particlenet, ...) again, its document's numbers beside ours
	@$(HEPBENCH) reproduce $(or $(call given,STUDY),--list) $(call each,--only,ONLY) $(COMMON) $(call option,--format,FORMAT) $(AGAIN)

tune: $(READY)  ## search the hyper-parameters of MODEL on TASK, test the best; resumes where it was stopped
	@$(HEPBENCH) tune $(call given,TASK) $(OPTIONS) $(STUDIED)

SWEPT = $(call option,--batch-sizes,BATCHES) $(call option,--epochs,EPOCHS) $(call option,--target,TARGET) \
	$(call option,--events,EVENTS) $(AGAIN)

sweep: $(READY)  ## time MODEL on TASK with batches of 32 to 40,960 events on each device, find the size that learns soonest
	@$(HEPBENCH) sweep $(call given,TASK) $(OPTIONS) $(SWEPT)

curve: $(READY)  ## train each MODEL on 1/64 ... 1 of the training events of TASK, same test: who needs how many (TRAIN_EVENTS=)
	@$(HEPBENCH) curve $(call given,TASK) $(OPTIONS) $(call option,--train-events,TRAIN_EVENTS) $(call option,--events,EVENTS) \
		$(call option,--format,FORMAT) $(AGAIN)

studies: $(READY)  ## every study, with its trials and its best
	@$(HEPBENCH) studies

optuna-ui: $(READY)  ## optuna-dashboard on the studies, http://127.0.0.1:8080 (PORT=)
	@$(HEPBENCH) optuna-ui $(call option,--port,PORT)

leaderboard: $(READY)  ## the ranking of TASK again, from the store alone
	@$(HEPBENCH) leaderboard $(call given,TASK) $(call option,--format,FORMAT) $(SHOWN)

plot: $(READY)  ## one plot of TASK's rows MODEL for a paper: KIND=rejection|roc|auc|pareto|learning|calibration|slices, OUT=figure.pdf
	@$(HEPBENCH) plot $(call given,TASK) $(call each,--model,MODEL) $(call option,--kind,KIND) $(call option,--budget,BUDGET) \
		$(call option,--out,OUT)

compare: $(READY)  ## two results of TASK on the same test events: every difference, where they disagree (A=cnn B="gbdt rounds=300")
	@$(HEPBENCH) compare $(call given,TASK) $(call given,A) $(call given,B) $(call option,--budget,BUDGET)

# A run of a file of one's own asks for that file again, as its code runs.
OWN = $(call option,--task,TASK) $(call option,--model,MODEL)

rescore: $(READY)  ## every metric of the runs of TASK again from their scores, without a training
	@$(HEPBENCH) rescore $(TASK)

ensemble: $(READY)  ## ensembles of the trained models of TASK, chosen by validation scores, as rows of the leaderboard
	@$(HEPBENCH) ensemble $(TASK)

register: $(READY)  ## the best trained model of TASK in MLflow's registry, as NAME (the task's) with an alias (RUN=id: this one)
	@$(HEPBENCH) register $(call given,TASK) $(call option,--run,RUN) $(call option,--budget,BUDGET) $(if $(NAME_ASKED),$(call option,--name,NAME))

predict: $(READY)  ## scores of FILES, with labels or without, by the model of RUN (OUT=scores.parquet)
	@$(HEPBENCH) predict $(call given,RUN) $(call files,FILES) $(call option,--out,OUT) $(OWN)

evaluate: $(READY)  ## every metric of the model of RUN on labelled FILES, with ROC and plots (OUT=folder)
	@$(HEPBENCH) evaluate $(call given,RUN) $(call files,FILES) $(call option,--out,OUT) $(OWN)

export-model: $(READY)  ## the model of RUN as an ONNX file (OUT=), scaling included, checked on the run's test events
	@$(HEPBENCH) export-model $(call given,RUN) $(call option,--out,OUT) $(OWN)

events: $(READY)  ## ids and raw inputs of the SPLIT part of TASK (test; train, validation), in one file (OUT=, LABELS=1)
	@$(HEPBENCH) events $(call given,TASK) $(call option,--split,SPLIT) $(call flag,--labels,LABELS) \
		$(call option,--events,EVENTS) $(call option,--budget,BUDGET) $(call option,--data,DATA) $(call option,--out,OUT)

# NAME, too, only of the command line: some systems have that of the machine under it.
FACTS = $(if $(NAME_ASKED),$(call option,--name,NAME)) $(call option,--seed,SEED) $(call option,--train-events,TRAIN_EVENTS) \
	$(call option,--parameters,PARAMETERS) $(call option,--latency-ms,LATENCY_MS) $(call option,--url,URL) \
	$(call option,--code,CODE) $(call flag,--force,FORCE)

score: $(READY)  ## rate scores of TASK that were made elsewhere, FILES=scores.parquet, and rank them as NAME, submitted
	@$(HEPBENCH) score $(call given,TASK) $(call files,FILES) $(FACTS)

export: $(READY)  ## every result of TASK, or of all, in one file for another machine (OUT=results.zip)
	@$(HEPBENCH) export $(call given,TASK) $(call option,--out,OUT)

import: $(READY)  ## put the results of another machine, FILES=results.zip, beside the ones here; TASK=./file.py of your own
	@$(HEPBENCH) import $(call files,FILES) $(call each,--task,TASK)

data: $(READY)  ## fetch the official files of TASK (FILES=n: the first n, where fewer will do)
	@$(HEPBENCH) data $(call given,TASK) $(call option,--files,FILES)

describe: $(READY)  ## what TASK is, and a page with pictures of its events
	@$(HEPBENCH) describe $(call given,TASK) $(call option,--data,DATA) $(call option,--events,EVENTS)

validate: $(READY)  ## compare the data of TASK with its calibration figures
	@$(HEPBENCH) validate $(call given,TASK) $(call option,--data,DATA) $(call option,--events,EVENTS)

simulate: $(READY)  ## EVENTS=n simulated events of TASK in the official format
	@$(HEPBENCH) simulate $(call given,TASK) --events $(call quoted,$(EVENTS)) $(call option,--jobs,JOBS)

measure: $(READY)  ## rates of simulating and reading every task's data, of training and prediction of every model
	@$(HEPBENCH) measure data
	@$(HEPBENCH) measure models

list: $(READY)  ## tasks, models, metrics, budgets; what is here
	@$(HEPBENCH) list

doctor: $(READY)  ## versions, devices, store, disk, data files; MEASURE=1: with rates of the machine, in 20 s
	@$(HEPBENCH) doctor $(call flag,--measure,MEASURE)

ui: $(READY)  ## MLflow on the same store, http://127.0.0.1:5000 (PORT=)
	@$(HEPBENCH) ui $(call option,--port,PORT)

PYTEST := $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadscope

test: $(READY)  ## the tests, in minutes: every entry, reader, verb and page
	@$(PYTEST) -m "not long"

test-all: $(READY)  ## those and the long ones: every model on every task, kills, clusters; ONLY=long: these alone
	@$(PYTEST) $(call option,-m,ONLY)

faults: $(READY)  ## break the program some 900 times and count what is lost, in 40 minutes; ONLY="kill:17 disk": these
	@cd tests && ../$(VENV)/bin/python -m faults $(ONLY)

lint: $(READY)  ## ruff: rules and format; mypy: types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

tables: $(READY)  ## write the tables of docs/ from results, tasks and models
	@$(VENV)/bin/python docs/tables.py

docs: $(READY)  ## the pages, into build/site; fails where a table is stale
	@$(VENV)/bin/python docs/tables.py --check
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

EXTRAS := --extra simulation --extra jax --extra cluster --extra dashboard --extra onnx --group dev
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml $(EXTRAS)
ELSEWHERE := ; sys_platform != 'linux' or platform_machine != 'x86_64'

lock:  ## pin every version again, with hashes (needs uv)
	printf "tensorflow>=2.21$(ELSEWHERE)\nxgboost>=3$(ELSEWHERE)\n" | \
		$(COMPILE) --group cpu --overrides /dev/stdin --upgrade -o requirements.lock
	$(COMPILE) --extra cuda --upgrade -o requirements-cuda.lock

env: $(READY)  ## only make the environment

# Compiled once here: without bytecode TensorFlow takes three times as long to import.
$(READY): $(LOCK) pyproject.toml
	@$(call quoted,$(PYTHON)) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo $(call quoted,$(PYTHON))" is older than 3.11: give another one, as in make PYTHON=python3.12"; exit 2; }
	@echo "making $(VENV) from $(LOCK), once"
	@rm -rf $(VENV)
	@if command -v uv >/dev/null; then \
		uv venv -q --python "$$(command -v $(call quoted,$(PYTHON)))" $(VENV) && \
		uv pip install -q --python $(VENV)/bin/python --compile-bytecode --require-hashes -r $(LOCK) && \
		uv pip install -q --python $(VENV)/bin/python --no-deps --no-build-isolation -e .; \
	else \
		$(call quoted,$(PYTHON)) -m venv $(VENV) && \
		env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $(LOCK) && \
		$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@mkdir -p $(VENV)/linked/hepbench && ln -sfn $(call quoted,$(CURDIR))/hepbench/*.py $(VENV)/linked/hepbench/
	@for room in benchmarks suite tracking; do ln -sfn $(call quoted,$(CURDIR))/$$room $(VENV)/linked/hepbench/$$room; done
	@touch $@

clean:  ## remove the environment and caches; data/ and results/ stay
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
