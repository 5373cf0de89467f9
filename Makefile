# The front door: `make help`. Every target but help and clean makes the environment first, once.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# What a user gives is words, never a program: its text is taken as it stands, without `make`'s own $(...), and reaches
# the shell in quotes alone. (`override`, as what stands on the command line would win.)
GIVEN := TASK A B MODEL SET SEEDS BUDGET DEVICE BACKEND DATA DRY FORCE TUNED FROM EVENTS JOBS SCHEDULER FORMAT COLUMNS CUDA PYTHON \
	STUDY ONLY TRIALS TIMEOUT SAMPLER PRUNER OBJECTIVE MAX_LATENCY MAX_PARAMETERS RUN FILES OUT BATCHES EPOCHS TARGET PORT \
	SPLIT LABELS NAME KIND SEED SHIFT TRAIN_EVENTS PARAMETERS LATENCY_MS URL CODE MEASURE METRIC SORT PAIRS PAGE OPEN
define NEWLINE


endef
# Names that stand on the command line.
ASKED := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(GIVEN),$(if $(filter undefined,$(origin $(name))),,$(eval override $(name) := $$(subst $$(NEWLINE), ,$$(value $(name))))))
quoted = '$(subst ','\'',$(1))'
# Of a variable that has a value. $(call given,NAME): it. option: behind an option. each: each of its words behind one.
# parts: its words. stated: option, but from the command line alone, as systems have something else under the name.
# Each notes the name in TAKEN, so that what a target takes stands in its recipe alone.
noted = $(eval TAKEN += $(1))$($(1))
given = $(if $(call noted,$(1)),$(call quoted,$($(1))))
option = $(if $(call noted,$(2)),$(1) $(call quoted,$($(2))))
each = $(foreach one,$(call noted,$(2)),$(1) $(call quoted,$(one)))
parts = $(foreach one,$(call noted,$(1)),$(call quoted,$(one)))
flag = $(if $(filter-out 0,$(call noted,$(2))),$(1))
stated = $(if $(and $(call noted,$(2)),$(filter $(2),$(ASKED))),$(1) $(call quoted,$($(2))))
# Files as a shell would list them; a word that names none stays, for the message.
files = $(foreach one,$(call noted,$(1)),$(foreach path,$(or $(wildcard $(one)),$(one)),$(call quoted,$(path))))

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
# A shell may have the width of its terminal under this name.
SHOWN = $(call stated,--columns,COLUMNS)
AGAIN = $(call flag,--dry-run,DRY) $(call flag,--force,FORCE)
ONLY_BENCH = $(call option,--from,FROM) $(call option,--events,EVENTS) $(call flag,--tuned,TUNED) $(call each,--shift,SHIFT) \
	$(AGAIN) $(SHOWN)
STUDIED = $(call option,--trials,TRIALS) $(call option,--timeout,TIMEOUT) $(call option,--sampler,SAMPLER) \
	$(call option,--pruner,PRUNER) $(call each,--objective,OBJECTIVE) $(call option,--study,STUDY) \
	$(call option,--max-latency,MAX_LATENCY) $(call option,--max-parameters,MAX_PARAMETERS)

TARGETS := help env bench reproduce tune sweep curve studies optuna-ui leaderboard plot rescore ensemble register compare predict evaluate export-model events score export import data describe validate simulate measure gpu-check list doctor ui test test-all faults lint tables docs lock clean
.PHONY: $(TARGETS)

help:  ## this text
	@echo "make bench TASK=ecal        from raw data to a leaderboard; then make ui"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: TASK MODEL=\"name ./file.py\"|all SET=\"name=value\" SEEDS BUDGET=smoke|quick|standard|full DEVICE=auto|cpu|gpu BACKEND=tensorflow|jax"
	@echo "           DATA=auto|official|simulated DRY=1 FORCE=1 TUNED=1 FROM=run SHIFT=\"vincia ...\"|all EVENTS=n JOBS=n FORMAT=table|json|csv|markdown|latex COLUMNS=\"recall ...\" CUDA=0|1 PYTHON=python3.12"
	@echo "           of reproduce: STUDY=name ONLY=\"experiment ...\" BUDGET (full where none is given)"
	@echo "           of tune: TRIALS TIMEOUT=1h SAMPLER=tpe|random|nsga2 PRUNER=median|hyperband|halving|none OBJECTIVE=\"auc latency\""
	@echo "           MAX_LATENCY=1ms MAX_PARAMETERS=100k STUDY=name SCHEDULER=tcp://host:port"
	@echo "           of predict, evaluate: RUN=id FILES=\"...\" OUT=path, TASK=./file.py MODEL=./file.py where they are files of your own"
	@echo "           of compare: A, B, each a model, \"model name=value\", \"model tuned\", a study, the id of a run or a configuration, scores.parquet; BUDGET"
	@echo "           of events: SPLIT=train|validation|test LABELS=1 OUT=file"
	@echo "           of score: FILES=scores.parquet NAME=mine SEED=n TRAIN_EVENTS=n PARAMETERS=n LATENCY_MS=x URL=... CODE=..."
	@echo "           of curve: TRAIN_EVENTS=\"500 2000 8000\" EVENTS=n"
	@echo "           of leaderboard: METRIC=rejection_50 SORT=latency_ms MODEL=\"cnn gbdt\" MAX_LATENCY=1ms TARGET=0.9 PAIRS=1 PAGE=1 OPEN=1"
	@echo "           of sweep: BATCHES=32,256,2048 EPOCHS=50 TARGET=0.95"

takes.bench = $(call given,TASK) $(OPTIONS) $(ONLY_BENCH)
bench: $(READY)  ## run a model of each kind, or MODEL, on TASK (several, all; NAME:all: its variants), print the leaderboard
	@$(HEPBENCH) bench $(takes.bench)

takes.reproduce = $(or $(call given,STUDY),--list) $(call each,--only,ONLY) $(COMMON) $(call option,--format,FORMAT) $(AGAIN)
reproduce: $(READY)  ## the experiments of STUDY (ecal_cnn, qg_particlenet, ...) again, its document's numbers beside ours
	@$(HEPBENCH) reproduce $(takes.reproduce)

takes.tune = $(call given,TASK) $(OPTIONS) $(STUDIED)
tune: $(READY)  ## search the hyper-parameters of MODEL on TASK, test the best; resumes where it was stopped
	@$(HEPBENCH) tune $(takes.tune)

SWEPT = $(call option,--batch-sizes,BATCHES) $(call option,--epochs,EPOCHS) $(call option,--target,TARGET) \
	$(call option,--events,EVENTS) $(AGAIN)

takes.sweep = $(call given,TASK) $(OPTIONS) $(SWEPT)
sweep: $(READY)  ## time MODEL on TASK with batches of 32 to 40,960 events on each device, find the size that learns soonest
	@$(HEPBENCH) sweep $(takes.sweep)

takes.curve = $(call given,TASK) $(OPTIONS) $(call option,--train-events,TRAIN_EVENTS) $(call option,--events,EVENTS) \
	$(call option,--format,FORMAT) $(AGAIN)
curve: $(READY)  ## train each MODEL on 1/64 ... 1 of the training events of TASK, same test: who needs how many (TRAIN_EVENTS=)
	@$(HEPBENCH) curve $(takes.curve)

studies: $(READY)  ## every study, with its trials and its best
	@$(HEPBENCH) studies

takes.optuna-ui = $(call option,--port,PORT)
optuna-ui: $(READY)  ## optuna-dashboard on the studies, http://127.0.0.1:8080 (PORT=)
	@$(HEPBENCH) optuna-ui $(takes.optuna-ui)

takes.leaderboard = $(call given,TASK) $(call option,--format,FORMAT) $(SHOWN) $(call option,--target,TARGET) \
	$(call each,--model,MODEL) $(call option,--metric,METRIC) $(call option,--sort,SORT) \
	$(call option,--max-latency,MAX_LATENCY) $(call flag,--pairs,PAIRS) $(call flag,--page,PAGE) $(call flag,--open,OPEN)
leaderboard: $(READY)  ## the ranking of TASK, or of all, from the store alone; PAGE=1, OPEN=1: and its page
	@$(HEPBENCH) leaderboard $(takes.leaderboard)

takes.plot = $(call given,TASK) $(call each,--model,MODEL) $(call option,--kind,KIND) $(call option,--budget,BUDGET) \
	$(call option,--metric,METRIC) $(call option,--out,OUT)
plot: $(READY)  ## one plot of TASK's rows MODEL for a paper: KIND=rejection|roc|auc|pareto|learning|calibration|slices, OUT=figure.pdf
	@$(HEPBENCH) plot $(takes.plot)

takes.compare = $(call given,TASK) $(call given,A) $(call given,B) $(call option,--budget,BUDGET)
compare: $(READY)  ## two results of TASK on the same test events: every difference, where they disagree (A=cnn B="gbdt rounds=300")
	@$(HEPBENCH) compare $(takes.compare)

# A run of a file of one's own asks for that file again, as its code runs.
OWN = $(call option,--task,TASK) $(call option,--model,MODEL)

takes.rescore = $(call given,TASK)
rescore: $(READY)  ## every metric of the runs of TASK again from their scores, without a training
	@$(HEPBENCH) rescore $(takes.rescore)

takes.ensemble = $(call given,TASK)
ensemble: $(READY)  ## ensembles of the trained models of TASK, chosen by validation scores, as rows of the leaderboard
	@$(HEPBENCH) ensemble $(takes.ensemble)

takes.register = $(call given,TASK) $(call option,--run,RUN) $(call option,--budget,BUDGET) $(call stated,--name,NAME)
register: $(READY)  ## the best trained model of TASK in MLflow's registry, as NAME (the task's) with an alias (RUN=id: this one)
	@$(HEPBENCH) register $(takes.register)

takes.predict = $(call given,RUN) $(call files,FILES) $(call option,--out,OUT) $(OWN)
predict: $(READY)  ## scores of FILES, with labels or without, by the model of RUN (OUT=scores.parquet)
	@$(HEPBENCH) predict $(takes.predict)

takes.evaluate = $(call given,RUN) $(call files,FILES) $(call option,--out,OUT) $(OWN)
evaluate: $(READY)  ## every metric of the model of RUN on labelled FILES, with ROC and plots (OUT=folder)
	@$(HEPBENCH) evaluate $(takes.evaluate)

takes.export-model = $(call given,RUN) $(call option,--format,FORMAT) $(call option,--out,OUT) $(OWN)
export-model: $(READY)  ## the model of RUN as an ONNX file (OUT=), checked on its test events; FORMAT=hls4ml: a project for an FPGA
	@$(HEPBENCH) export-model $(takes.export-model)

takes.events = $(call given,TASK) $(call option,--split,SPLIT) $(call flag,--labels,LABELS) \
		$(call option,--events,EVENTS) $(call option,--budget,BUDGET) $(call option,--data,DATA) $(call option,--out,OUT)
events: $(READY)  ## ids and raw inputs of the SPLIT part of TASK (test; train, validation), in one file (OUT=, LABELS=1)
	@$(HEPBENCH) events $(takes.events)

# Some systems have the name of the machine under NAME.
FACTS = $(call stated,--name,NAME) $(call option,--seed,SEED) $(call option,--train-events,TRAIN_EVENTS) \
	$(call option,--parameters,PARAMETERS) $(call option,--latency-ms,LATENCY_MS) $(call option,--url,URL) \
	$(call option,--code,CODE) $(call flag,--force,FORCE)

takes.score = $(call given,TASK) $(call files,FILES) $(FACTS)
score: $(READY)  ## rate scores of TASK that were made elsewhere, FILES=scores.parquet, and rank them as NAME, submitted
	@$(HEPBENCH) score $(takes.score)

takes.export = $(call given,TASK) $(call option,--out,OUT)
export: $(READY)  ## every result of TASK, or of all, in one file for another machine (OUT=results.zip)
	@$(HEPBENCH) export $(takes.export)

takes.import = $(call files,FILES) $(call each,--task,TASK)
import: $(READY)  ## put the results of another machine, FILES=results.zip, beside the ones here; TASK=./file.py of your own
	@$(HEPBENCH) import $(takes.import)

takes.data = $(call given,TASK) $(call option,--files,FILES)
data: $(READY)  ## fetch the official files of TASK (FILES=n: the first n, where fewer will do)
	@$(HEPBENCH) data $(takes.data)

takes.describe = $(call given,TASK) $(call option,--data,DATA) $(call option,--events,EVENTS)
describe: $(READY)  ## what TASK is, and a page with pictures of its events
	@$(HEPBENCH) describe $(takes.describe)

takes.validate = $(call given,TASK) $(call option,--data,DATA) $(call option,--events,EVENTS)
validate: $(READY)  ## compare the data of TASK with its calibration figures
	@$(HEPBENCH) validate $(takes.validate)

takes.simulate = $(call given,TASK) $(call option,--events,EVENTS) $(call option,--jobs,JOBS)
simulate: $(READY)  ## EVENTS=n simulated events of TASK in the official format
	@$(HEPBENCH) simulate $(takes.simulate)

measure: $(READY)  ## rates of simulating and reading every task's data, of training and prediction of every model
	@$(HEPBENCH) measure data
	@$(HEPBENCH) measure models

takes.gpu-check = $(call option,--out,OUT) $(call each,--only,ONLY) $(call flag,--dry-run,DRY)
gpu-check: $(READY)  ## all that needs a GPU, in ten minutes, by JAX (OUT=folder, ONLY="rates entries"); without one, or DRY=1, a dry run
	@$(HEPBENCH) measure gpu $(takes.gpu-check)

list: $(READY)  ## tasks, models, metrics, budgets; what is here
	@$(HEPBENCH) list

takes.doctor = $(call flag,--measure,MEASURE)
doctor: $(READY)  ## versions, devices, store, disk, data files; MEASURE=1: with rates of the machine, in 20 s
	@$(HEPBENCH) doctor $(takes.doctor)

takes.ui = $(call option,--port,PORT)
ui: $(READY)  ## MLflow on the same store, http://127.0.0.1:5000 (PORT=)
	@$(HEPBENCH) ui $(takes.ui)

PYTEST := $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadscope

test: $(READY)  ## the tests, in minutes: every entry, reader, verb and page
	@$(PYTEST) -m "not long"

takes.test-all = $(call option,-m,ONLY)
test-all: $(READY)  ## those and the long ones: every model on every task, kills, clusters; ONLY=long: these alone
	@$(PYTEST) $(takes.test-all)

takes.faults = $(call parts,ONLY)
faults: $(READY)  ## break the program some 1,200 times and count what is lost, in 40 minutes; ONLY="kill:17 disk": these
	@cd tests && ../$(VENV)/bin/python -m faults $(takes.faults)

lint: $(READY)  ## ruff: rules and format; mypy: types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

tables: $(READY)  ## write the tables of docs/ from results, tasks and models
	@$(VENV)/bin/python docs/tables.py

docs: $(READY)  ## the pages, into build/site; fails where a table is stale
	@$(VENV)/bin/python docs/tables.py --check
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

EXTRAS := --extra simulation --extra jax --extra cluster --extra dashboard --extra onnx --extra boosted --extra hls4ml --group dev
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

# What no target takes, and what is no target, is refused before anything runs, with the near name: `make` itself would
# leave a variable unread.
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
COMMA := ,
ifneq ($(NO_TARGETS),)
MEANT := $(if $(FIRST),make $(firstword $(GOALS)) $(FIRST)=$(call several,$(NO_TARGETS)),$(if $(wildcard benchmarks/tasks/$(firstword \
	$(NO_TARGETS)).py),make bench TASK=$(firstword $(NO_TARGETS)),$(addprefix make ,$(call near,$(firstword $(NO_TARGETS)),$(TARGETS)))))
$(error unknown target $(firstword $(NO_TARGETS))$(call meant,$(MEANT)) Known: $(sort $(TARGETS)))
endif
ifneq ($(NO_VARIABLES),)
$(error unknown variable $(firstword $(NO_VARIABLES))$(call meant,$(call near,$(firstword $(NO_VARIABLES)),$(KNOWN))) Known to make \
	$(GOALS): $(KNOWN))
endif
