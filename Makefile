# Start with `make help`. Every target but help and clean first creates the environment, once.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Variables given by a user are data, never code: they are taken literally, without expansion of `make`'s $(...), and
# reach the shell only in quotes. (`override`, as the command line would otherwise take precedence.)
GIVEN := TASK A B MODEL SET SEEDS BUDGET DEVICE BACKEND DATA DRY FORCE TUNED FROM EVENTS JOBS SCHEDULER FORMAT COLUMNS CUDA PYTHON \
	STUDY ONLY TRIALS TIMEOUT SAMPLER PRUNER OBJECTIVE MAX_LATENCY MAX_PARAMETERS RUN FILES OUT BATCHES EPOCHS TARGET PORT \
	SPLIT LABELS NAME KIND SEED SHIFT TRAIN_EVENTS PARAMETERS LATENCY_MS URL CODE MEASURE METRIC SORT PAIRS PAGE OPEN
define NEWLINE


endef
# Variables given on the command line.
ASKED := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(GIVEN),$(if $(filter undefined,$(origin $(name))),,$(eval override $(name) := $$(subst $$(NEWLINE), ,$$(value $(name))))))
COMMA := ,
quoted = '$(subst ','\'',$(1))'
# For a variable that has a value. $(call given,NAME): its value. option: an option with it. each: an option with each of
# its words. parts: its words. stated: as option, but only from the command line, as systems use the name for something
# else. Each adds the name to TAKEN, so that only a target's recipe says which variables it takes.
noted = $(eval TAKEN += $(1))$($(1))
given = $(if $(call noted,$(1)),$(call quoted,$($(1))))
option = $(if $(call noted,$(2)),$(1) $(call quoted,$($(2))))
each = $(foreach one,$(call noted,$(2)),$(1) $(call quoted,$(one)))
# rows: an option with all words, a comma before each but name=value and tuned, which belong to the word before them.
rows = $(if $(call noted,$(2)),$(1) $(call quoted,$(foreach one,$($(2)),$(if $(or $(findstring =,$(one)),$(filter \
	tuned,$(one))),$(one),$(COMMA)$(one)))))
parts = $(foreach one,$(call noted,$(1)),$(call quoted,$(one)))
flag = $(if $(filter-out 0,$(call noted,$(2))),$(1))
stated = $(if $(and $(call noted,$(2)),$(filter $(2),$(ASKED))),$(1) $(call quoted,$($(2))))
# Files, expanded as by a shell; a word that matches none is kept, for the error message.
files = $(foreach one,$(call noted,$(1)),$(foreach path,$(or $(wildcard $(one)),$(one)),$(call quoted,$(path))))

PYTHON ?= python3
# The CUDA build is used if there is an NVIDIA driver; CUDA=0 or CUDA=1 overrides.
CUDA ?= $(if $(shell nvidia-smi -L 2>/dev/null),1,0)
LOCK := $(if $(filter 1,$(CUDA)),requirements-cuda.lock,requirements.lock)
VENV := .venv
READY := $(VENV)/$(LOCK).ready
HEPBENCH := $(VENV)/bin/hepbench

# Options as variables: MODEL may hold several names or paths, separated by spaces.
COMMON = $(call option,--seeds,SEEDS) $(call option,--budget,BUDGET) $(call option,--device,DEVICE) $(call option,--backend,BACKEND) \
	$(call option,--data,DATA) $(call option,--jobs,JOBS) $(call option,--scheduler,SCHEDULER)
OPTIONS = $(call each,--model,MODEL) $(call each,--set,SET) $(COMMON)
# Shells use this name for the width of the terminal.
SHOWN = $(call stated,--columns,COLUMNS)
AGAIN = $(call flag,--dry-run,DRY) $(call flag,--force,FORCE)
ONLY_BENCH = $(call option,--from,FROM) $(call option,--events,EVENTS) $(call flag,--tuned,TUNED) $(call each,--shift,SHIFT) \
	$(AGAIN) $(SHOWN)
STUDIED = $(call option,--trials,TRIALS) $(call option,--timeout,TIMEOUT) $(call option,--sampler,SAMPLER) \
	$(call option,--pruner,PRUNER) $(call each,--objective,OBJECTIVE) $(call option,--study,STUDY) \
	$(call option,--max-latency,MAX_LATENCY) $(call option,--max-parameters,MAX_PARAMETERS)

TARGETS := help env bench reproduce tune sweep curve studies optuna-ui leaderboard plot rescore ensemble register compare predict evaluate export-model events score export import data describe validate simulate measure gpu-check list doctor ui test test-all faults lint tables docs lock clean
.PHONY: $(TARGETS)

help:  ## print this text
	@echo "make bench TASK=ecal        from raw data to a leaderboard; then make ui"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: TASK MODEL=\"name ./file.py\"|all SET=\"name=value\" SEEDS BUDGET=smoke|quick|standard|full DEVICE=auto|cpu|gpu BACKEND=tensorflow|jax"
	@echo "           DATA=auto|official|simulated DRY=1 FORCE=1 TUNED=1 FROM=run SHIFT=\"vincia ...\"|all EVENTS=n JOBS=n FORMAT=table|json|csv|markdown|latex COLUMNS=\"recall ...\" CUDA=0|1 PYTHON=python3.12"
	@echo "           reproduce: STUDY=name ONLY=\"experiment ...\" BUDGET (default: full)"
	@echo "           tune: TRIALS TIMEOUT=1h SAMPLER=tpe|random|nsga2 PRUNER=median|hyperband|halving|none OBJECTIVE=\"auc latency\""
	@echo "                 MAX_LATENCY=1ms MAX_PARAMETERS=100k STUDY=name SCHEDULER=tcp://host:port"
	@echo "           predict, evaluate: RUN=id FILES=\"...\" OUT=path; TASK=./file.py MODEL=./file.py if these are your own files"
	@echo "           compare: A, B: each a model, \"model name=value\", \"model tuned\", a study, the id of a run or a configuration, scores.parquet; BUDGET"
	@echo "           events: SPLIT=train|validation|test LABELS=1 OUT=file"
	@echo "           score: FILES=scores.parquet NAME=mine SEED=n TRAIN_EVENTS=n PARAMETERS=n LATENCY_MS=x URL=... CODE=..."
	@echo "           curve: TRAIN_EVENTS=\"500 2000 8000\" EVENTS=n"
	@echo "           leaderboard: METRIC=rejection_50 SORT=latency_ms MODEL=\"cnn gbdt\" MAX_LATENCY=1ms TARGET=0.9 PAIRS=1 PAGE=1 OPEN=1"
	@echo "           sweep: BATCHES=32,256,2048 EPOCHS=50 TARGET=0.95"

takes.bench = $(call given,TASK) $(OPTIONS) $(ONLY_BENCH)
bench: $(READY)  ## train and test a model of each kind, or MODEL, on TASK (several; all; NAME:all: its variants), print the leaderboard
	@$(HEPBENCH) bench $(takes.bench)

takes.reproduce = $(or $(call given,STUDY),--list) $(call each,--only,ONLY) $(COMMON) $(call option,--format,FORMAT) $(AGAIN)
reproduce: $(READY)  ## reproduce the experiments of STUDY (ecal_cnn, qg_particlenet, ...), compare its published numbers with ours
	@$(HEPBENCH) reproduce $(takes.reproduce)

takes.tune = $(call given,TASK) $(OPTIONS) $(STUDIED)
tune: $(READY)  ## search the hyper-parameters of MODEL on TASK, test the best trial; resumes where it was stopped
	@$(HEPBENCH) tune $(takes.tune)

SWEPT = $(call option,--batch-sizes,BATCHES) $(call option,--epochs,EPOCHS) $(call option,--target,TARGET) \
	$(call option,--events,EVENTS) $(AGAIN)

takes.sweep = $(call given,TASK) $(OPTIONS) $(SWEPT)
sweep: $(READY)  ## find the batch size (32 to 40,960) with which MODEL on TASK reaches the target AUC fastest, and its cost on each device
	@$(HEPBENCH) sweep $(takes.sweep)

takes.curve = $(call given,TASK) $(OPTIONS) $(call option,--train-events,TRAIN_EVENTS) $(call option,--events,EVENTS) \
	$(call option,--format,FORMAT) $(AGAIN)
curve: $(READY)  ## learning curves: train each MODEL on 1/64 ... 1 of the training events of TASK (TRAIN_EVENTS=), same test set
	@$(HEPBENCH) curve $(takes.curve)

studies: $(READY)  ## list the tuning studies with their trials and best values
	@$(HEPBENCH) studies

takes.optuna-ui = $(call option,--port,PORT)
optuna-ui: $(READY)  ## start optuna-dashboard on the tuning studies, http://127.0.0.1:8080 (PORT=)
	@$(HEPBENCH) optuna-ui $(takes.optuna-ui)

takes.leaderboard = $(call given,TASK) $(call option,--format,FORMAT) $(SHOWN) $(call option,--target,TARGET) \
	$(call each,--model,MODEL) $(call option,--metric,METRIC) $(call option,--sort,SORT) \
	$(call option,--max-latency,MAX_LATENCY) $(call flag,--pairs,PAIRS) $(call flag,--page,PAGE) $(call flag,--open,OPEN)
leaderboard: $(READY)  ## print the ranking of TASK, or of all tasks, from stored results; PAGE=1, OPEN=1: also its HTML page
	@$(HEPBENCH) leaderboard $(takes.leaderboard)

takes.plot = $(call given,TASK) $(call rows,--model,MODEL) $(call option,--kind,KIND) $(call option,--budget,BUDGET) \
	$(call option,--metric,METRIC) $(call option,--out,OUT)
plot: $(READY)  ## draw a plot of rows MODEL of TASK for a paper: KIND=rejection|roc|auc|pareto|learning|calibration|slices, OUT=figure.pdf
	@$(HEPBENCH) plot $(takes.plot)

takes.compare = $(call given,TASK) $(call given,A) $(call given,B) $(call option,--budget,BUDGET)
compare: $(READY)  ## compare two results of TASK on the same test events, and list where they disagree (A=cnn B="gbdt rounds=300")
	@$(HEPBENCH) compare $(takes.compare)

# A run of a user's own file requires that file again, as its code is executed.
OWN = $(call option,--task,TASK) $(call option,--model,MODEL)

takes.rescore = $(call given,TASK)
rescore: $(READY)  ## recompute all metrics of the stored runs of TASK from their scores, without retraining
	@$(HEPBENCH) rescore $(takes.rescore)

takes.ensemble = $(call given,TASK)
ensemble: $(READY)  ## build ensembles of the trained models of TASK, chosen by validation scores, as rows of the leaderboard
	@$(HEPBENCH) ensemble $(takes.ensemble)

takes.register = $(call given,TASK) $(call option,--run,RUN) $(call option,--budget,BUDGET) $(call stated,--name,NAME)
register: $(READY)  ## register the best trained model of TASK, or that of RUN=id, in MLflow as NAME (default: the task's) with an alias
	@$(HEPBENCH) register $(takes.register)

takes.predict = $(call given,RUN) $(call files,FILES) $(call option,--out,OUT) $(OWN)
predict: $(READY)  ## score FILES, with or without labels, with the model of RUN (OUT=scores.parquet)
	@$(HEPBENCH) predict $(takes.predict)

takes.evaluate = $(call given,RUN) $(call files,FILES) $(call option,--out,OUT) $(OWN)
evaluate: $(READY)  ## evaluate the model of RUN on labelled FILES: all metrics, ROC and plots (OUT=folder)
	@$(HEPBENCH) evaluate $(takes.evaluate)

takes.export-model = $(call given,RUN) $(call option,--format,FORMAT) $(call option,--out,OUT) $(OWN)
export-model: $(READY)  ## export the model of RUN to an ONNX file (OUT=), checked on its test events; FORMAT=hls4ml: an FPGA project
	@$(HEPBENCH) export-model $(takes.export-model)

takes.events = $(call given,TASK) $(call option,--split,SPLIT) $(call flag,--labels,LABELS) \
		$(call option,--events,EVENTS) $(call option,--budget,BUDGET) $(call option,--data,DATA) $(call option,--out,OUT)
events: $(READY)  ## write ids and raw inputs of a set of TASK (SPLIT=test, train or validation) to a file (OUT=, LABELS=1)
	@$(HEPBENCH) events $(takes.events)

# On some systems NAME holds the name of the machine.
FACTS = $(call stated,--name,NAME) $(call option,--seed,SEED) $(call option,--train-events,TRAIN_EVENTS) \
	$(call option,--parameters,PARAMETERS) $(call option,--latency-ms,LATENCY_MS) $(call option,--url,URL) \
	$(call option,--code,CODE) $(call flag,--force,FORCE)

takes.score = $(call given,TASK) $(call files,FILES) $(FACTS)
score: $(READY)  ## evaluate external scores of TASK, FILES=scores.parquet, and add them to the leaderboard as NAME, submitted
	@$(HEPBENCH) score $(takes.score)

takes.export = $(call given,TASK) $(call option,--out,OUT)
export: $(READY)  ## write all results of TASK, or TASK=all, to a file for another machine (OUT=results.zip)
	@$(HEPBENCH) export $(takes.export)

takes.import = $(call files,FILES) $(call each,--task,TASK)
import: $(READY)  ## add the results of another machine, FILES=results.zip, to those of this one (TASK=./file.py: a task of your own)
	@$(HEPBENCH) import $(takes.import)

takes.data = $(call given,TASK) $(call option,--files,FILES)
data: $(READY)  ## download the official files of TASK (FILES=n: only the first n)
	@$(HEPBENCH) data $(takes.data)

takes.describe = $(call given,TASK) $(call option,--data,DATA) $(call option,--events,EVENTS)
describe: $(READY)  ## describe TASK, and write an HTML page with pictures of its events
	@$(HEPBENCH) describe $(takes.describe)

takes.validate = $(call given,TASK) $(call option,--data,DATA) $(call option,--events,EVENTS)
validate: $(READY)  ## compare the data of TASK with its calibration figures
	@$(HEPBENCH) validate $(takes.validate)

takes.simulate = $(call given,TASK) $(call option,--events,EVENTS) $(call option,--jobs,JOBS)
simulate: $(READY)  ## simulate EVENTS=n events of TASK in the official format
	@$(HEPBENCH) simulate $(takes.simulate)

measure: $(READY)  ## measure the rates of simulating and reading the data of every task, of training and prediction of every model
	@$(HEPBENCH) measure data
	@$(HEPBENCH) measure models

takes.gpu-check = $(call option,--out,OUT) $(call each,--only,ONLY) $(call flag,--dry-run,DRY)
gpu-check: $(READY)  ## all measurements that need a GPU, with JAX, in ten minutes (OUT=folder, ONLY="rates entries"); no GPU or DRY=1: a dry run
	@$(HEPBENCH) measure gpu $(takes.gpu-check)

list: $(READY)  ## list tasks, models, metrics and budgets, and what is available
	@$(HEPBENCH) list

takes.doctor = $(call flag,--measure,MEASURE)
doctor: $(READY)  ## show versions, devices, store, disk, data files; MEASURE=1: also rates of the machine (20 s)
	@$(HEPBENCH) doctor $(takes.doctor)

takes.ui = $(call option,--port,PORT)
ui: $(READY)  ## start the MLflow UI on the store of the results, http://127.0.0.1:5000 (PORT=)
	@$(HEPBENCH) ui $(takes.ui)

PYTEST := $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadscope

test: $(READY)  ## run the fast tests (minutes): every entry, reader, command and page
	@$(PYTEST) -m "not long"

takes.test-all = $(call option,-m,ONLY)
test-all: $(READY)  ## run all tests, also the long ones: every model on every task, kills, clusters; ONLY=long: only these
	@$(PYTEST) $(takes.test-all)

takes.faults = $(call parts,ONLY)
faults: $(READY)  ## inject some 1,200 faults into the program and count what is lost, in 40 minutes; ONLY="kill:17 disk": only these
	@cd tests && ../$(VENV)/bin/python -m faults $(takes.faults)

lint: $(READY)  ## check the code: ruff (rules and format) and mypy (types)
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

tables: $(READY)  ## regenerate the tables of docs/ from results, tasks and models
	@$(VENV)/bin/python docs/tables.py

docs: $(READY)  ## build the documentation into build/site; fails if a table is stale
	@$(VENV)/bin/python docs/tables.py --check
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

EXTRAS := --extra simulation --extra jax --extra cluster --extra dashboard --extra onnx --extra boosted --extra hls4ml --group dev
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml $(EXTRAS)
ELSEWHERE := ; sys_platform != 'linux' or platform_machine != 'x86_64'

lock:  ## update the lock files: all versions, with hashes (requires uv)
	printf "tensorflow>=2.21$(ELSEWHERE)\nxgboost>=3$(ELSEWHERE)\n" | \
		$(COMPILE) --group cpu --overrides /dev/stdin --upgrade -o requirements.lock
	$(COMPILE) --extra cuda --upgrade -o requirements-cuda.lock

env: $(READY)  ## only create the environment

# Bytecode is compiled once, here: without it TensorFlow takes three times as long to import.
$(READY): $(LOCK) pyproject.toml
	@$(call quoted,$(PYTHON)) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo $(call quoted,$(PYTHON))" is older than 3.11: give a newer one, as in make PYTHON=python3.12"; exit 2; }
	@echo "creating $(VENV) from $(LOCK), once"
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

clean:  ## remove the environment and caches, but not data/ and results/
	rm -rf $(VENV) build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Unknown targets and variables that no target takes are rejected before anything runs, suggesting the closest match;
# `make` itself would ignore such a variable.
GOALS := $(filter $(TARGETS),$(or $(MAKECMDGOALS),help))
TAKEN :=
$(foreach goal,$(GOALS),$(if $(takes.$(goal)),))
FIRST := $(firstword $(TAKEN))
KNOWN := $(sort $(TAKEN) CUDA PYTHON)
NO_TARGETS := $(filter-out $(TARGETS) $(READY),$(MAKECMDGOALS))
NO_VARIABLES := $(filter-out $(KNOWN),$(ASKED))
NEAR := import difflib, sys; known = {word.lower(): word for word in sys.argv[2:]}; \
	print(*(known[word] for word in difflib.get_close_matches(sys.argv[1].lower(), known, 1, 0.6)))
near = $(shell $(call quoted,$(PYTHON)) -c $(call quoted,$(NEAR)) $(call quoted,$(1)) $(2) 2>/dev/null)
meant = $(if $(1),$(COMMA) did you mean $(1)?,.)
several = $(if $(word 2,$(1)),"$(1)",$(1))
ifneq ($(NO_TARGETS),)
MEANT := $(if $(FIRST),make $(firstword $(GOALS)) $(FIRST)=$(call several,$(NO_TARGETS)),$(if $(wildcard benchmarks/tasks/$(firstword \
	$(NO_TARGETS)).py),make bench TASK=$(firstword $(NO_TARGETS)),$(addprefix make ,$(call near,$(firstword $(NO_TARGETS)),$(TARGETS)))))
$(error unknown target $(firstword $(NO_TARGETS))$(call meant,$(MEANT)) Known: $(sort $(TARGETS)))
endif
ifneq ($(NO_VARIABLES),)
$(error unknown variable $(firstword $(NO_VARIABLES))$(call meant,$(call near,$(firstword $(NO_VARIABLES)),$(KNOWN))) Known to make \
	$(GOALS): $(KNOWN))
endif
