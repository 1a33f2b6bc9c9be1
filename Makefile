# Everything starts here: `make help`.
STUDY  ?= demo
DATA   ?=
CORES  ?=
ifeq ($(value CORES),)
CORES  := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif
UNTIL  ?=
QUIET  ?=
PROFILE ?=
A      ?=
B      ?=
OUT    ?=
MIXED  ?=
PYTHON ?= python3
TESTS  ?=

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-bench/.ready

# What a user says reaches a command through the environment, as it was typed: neither make nor a
# shell looks for a meaning in it. Exported as it is, make would expand it first.
SAID := STUDY DATA CORES UNTIL QUIET PROFILE A B OUT PYTHON
unexport $(SAID)
$(foreach name,$(SAID),$(eval export SAID_$(name) := $$(value $(name))))

ifneq ($(findstring :,$(CURDIR)),)
$(error the name of this folder, $(CURDIR), has a colon, at which search paths are divided; rename it)
endif

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# What a machine may say to pip about its own habits has no say in this environment: the lock does.
unexport PIP_FIND_LINKS PIP_TARGET PIP_PREFIX PIP_USER PIP_CONSTRAINT PIP_REQUIREMENT
unexport PIP_NO_DEPS PIP_NO_INDEX PIP_REQUIRE_VIRTUALENV PIP_PRE PIP_NO_BINARY PIP_ONLY_BINARY
unexport UV_FIND_LINKS UV_CONSTRAINT UV_OVERRIDE UV_PRERELEASE UV_RESOLUTION UV_SYSTEM_PYTHON
unexport UV_NO_INDEX UV_TORCH_BACKEND UV_PROJECT_ENVIRONMENT
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CONDA_PREFIX
# Where packages come from is the machine's to say: uv does not know pip's name for it.
ifneq ($(PIP_INDEX_URL),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
export UV_HTTP_TIMEOUT ?= 300
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help env report rehearse verify compare export archive test soak bench audit lint lock lab clean

help: ## explain every target
	@echo "make TARGET [STUDY=$$SAID_STUDY] [DATA=/path/to/patients] [CORES=$$SAID_CORES]"; echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "studies: $(basename $(notdir $(wildcard notebooks/params/*.yml)))"

env: $(READY) ## build .venv from requirements.lock (PYTHON=python3, 3.11.4 or newer)

report: $(READY) ## run what is out of date in STUDY, then its report (DATA=, CORES=, UNTIL=notebook, QUIET=1, PROFILE=slurm)
	@$(BIN)/python -m gliomalib study --cores="$$SAID_CORES" --source="$$SAID_DATA" --until="$$SAID_UNTIL" --profile="$$SAID_PROFILE" $${SAID_QUIET:+--quiet} -- "$$SAID_STUDY"

verify: $(READY) ## run the stored STUDY again and say what came out the same (DATA=, CORES=, UNTIL=, OUT=)
	@$(BIN)/python -m gliomalib verify --cores="$$SAID_CORES" --source="$$SAID_DATA" --until="$$SAID_UNTIL" --out="$$SAID_OUT" -- "$$SAID_STUDY"

rehearse: $(READY) ## try all of STUDY on four patients: what fails, and what the whole will take (DATA=, UNTIL=)
	@$(BIN)/python -m gliomalib rehearse --source="$$SAID_DATA" --until="$$SAID_UNTIL" -- "$$SAID_STUDY"

compare: $(READY) ## put two runs side by side on one page (A=demo B=brats-mini, or folders of a report)
	@$(BIN)/python -m gliomalib compare -- "$$SAID_A" "$$SAID_B"

# only a study that was named is exported alone
export: $(READY) ## write the reports as a web site into OUT=folder (all, or STUDY=)
	@$(BIN)/python -m gliomalib export --out="$$SAID_OUT" -- $(if $(filter file,$(origin STUDY)),,"$$SAID_STUDY")

archive: $(READY) ## write what a deposit of STUDY needs into OUT=file.zip (MIXED=1: several commits)
	@$(BIN)/python -m gliomalib archive --out="$$SAID_OUT" $(if $(value MIXED),--mixed) -- "$$SAID_STUDY"

test: $(READY) ## run the tests (TESTS=tests/test_x.py; GLIOMA_REAL_DATA=/path for real patients)
	@$(BIN)/python -m pytest $(TESTS)

soak: $(READY) ## try 17,000 strange inputs, kill a study 20 times, run 369 patients (SOAK=2: other inputs)
	@GLIOMA_SOAK="$${SOAK:-1}" $(BIN)/python -m pytest -n 0 -q -s tests/test_fuzz.py tests/data/test_content.py \
		tests/test_interruptions.py tests/networks/test_ranks.py tests/test_cluster.py tests/test_limits.py

bench: $(READY) $(PEERS) ## time what must be fast (GLIOMA_REAL_DATA=/path; needs a quiet machine)
	@$(BIN)/python -m pytest -n 0 -q -o python_files='bench_*.py' -o python_functions='bench_*' tests/benchmarks

audit: $(READY) ## look for known security holes in the locked packages (asks the advisory service of PyPI)
	@UV=$(BIN)/uv $(BIN)/python .ci/audit.py

lint: $(READY) ## format, then check style, types and layers
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/nbstripout --keep-id notebooks/*.ipynb

lock: $(READY) ## resolve pyproject.toml into requirements.lock anew
	@$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --extra cluster --generate-hashes \
		--no-emit-index-url --no-header --quiet pyproject.toml -o requirements.lock

# of no configuration of this machine: one could open it to the network, or take the token away
lab: $(READY) ## open the notebooks in JupyterLab
	@JUPYTER_NO_CONFIG=1 JUPYTER_PREFER_ENV_PATH=1 $(BIN)/python -m jupyter lab notebooks

clean: ## remove the working files of STUDY (data/STUDY); its results in reports stay
	@case "$$SAID_STUDY" in ""|*[!A-Za-z0-9_-]*) echo "error: STUDY=$$SAID_STUDY is no name of a study" >&2; exit 1;; esac
	@lock="data/$$SAID_STUDY/locks/study.lock"; \
	if command -v flock >/dev/null && [ -f "$$lock" ] && ! flock -n "$$lock" true; then \
		echo "error: the study $$SAID_STUDY is being run: wait for it" >&2; exit 1; fi
	@rm -rf "data/$$SAID_STUDY" && echo "removed data/$$SAID_STUDY"

$(BIN)/python:
	@"$$SAID_PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' 2>/dev/null || { \
		echo "error: Python 3.11.4 or newer is needed, $$SAID_PYTHON is" \
		"$$("$$SAID_PYTHON" -V 2>/dev/null || echo not there): say make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$$SAID_PYTHON" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "error: $$SAID_PYTHON cannot make environments: install its venv package" >&2; exit 1; }

# compiled once here, or the first notebook would do it alone
COMPILE := $(if $(wildcard $(READY)),,--compile-bytecode)
# pip of the fresh environment brings uv, uv brings the rest; both take only what has a hash in the lock
$(READY): pyproject.toml requirements.lock | $(BIN)/python
	@test -x $(BIN)/uv || { \
		awk '/^[^ #]/ {on = /^uv==/} on' requirements.lock > $(VENV)/uv.txt; \
		$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/uv.txt; }
	@$(BIN)/uv pip sync --python $(BIN)/python --require-hashes $(COMPILE) requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --offline -e .
	@touch $@

# other versions than ours, so an environment of their own; without it their rows say that they did not run
$(PEERS): tests/benchmarks/peers.txt | $(READY)
	@{ test -x $(@D)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(@D); } && \
		$(BIN)/uv pip sync --quiet --python $(@D)/bin/python $< && touch $@ || \
		echo "note: no environment for the peers; what needs them does not run" >&2
