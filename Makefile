# The two commands of the study are `make book` and `make test`; `make help` lists the rest.
# On a machine whose `python3` is too old, name another: make book PYTHON=python3.12

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
STUDY ?= pocket
WORKERS ?= 2

VENV := .venv
PIP := $(VENV)/bin/python -m pip install -qq --no-compile -c constraints.txt
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Packages are compiled to bytecode when first imported, and only those that are: half a minute less than all of them
# at install. A machine that forbids writing bytecode would compile them anew in every process.
unexport PYTHONDONTWRITEBYTECODE
# Modules of the user's own Python must not get in front of the pinned ones.
unexport PYTHONPATH PYTHONHOME

.PHONY: help book questions test lint lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(VENV)/for-book ## Run what study STUDY (pocket) still lacks, and build the book
	@stilts book $(STUDY)

questions: $(VENV)/for-book ## Run the live part of the five questions, and build the book with it
	@stilts questions $(STUDY)

test: $(VENV)/for-test ## Run the test suite with WORKERS (2) processes; PYTEST_ARGS go to pytest
	@pytest -n $(WORKERS) $(PYTEST_ARGS)

lint: $(VENV)/for-test ## Check the style of the code
	@ruff check .

clean: ## Remove the built site and caches; results of this machine (runs/) and .venv stay
	rm -rf _build .pytest_cache .hypothesis .ruff_cache .snakemake/log
	find stilts tests -name __pycache__ -prune -exec rm -r {} +

# --- The environment -------------------------------------------------------------------------------------------------
# Two stamps tell what the environment holds. A virtual environment does not survive being moved or copied, so one that
# was made elsewhere is made anew.
ifneq ($(shell cat $(VENV)/made-in 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/made-in
endif

$(VENV)/made-in:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: the study needs Python 3.11 or newer; '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>&1 || true). Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "$(CURDIR)" > $@

$(VENV)/for-book: WHAT := .
$(VENV)/for-test: WHAT := .[test,slurm]
$(VENV)/for-book $(VENV)/for-test: $(VENV)/made-in constraints.txt pyproject.toml
	@echo "Installing the pinned packages into $(VENV): about a minute, more where the package index is far."
	@SECONDS=0 && $(PIP) pip setuptools && $(PIP) --no-build-isolation -e "$(WHAT)" \
	  && touch $@ && echo "Installed in $$SECONDS s."

lock: ## Renew constraints.txt: the newest versions that pyproject.toml allows, torch as pinned
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT \
	  && $(PYTHON) -m venv "$$scratch" && grep '^torch==' constraints.txt > "$$scratch/torch.txt" \
	  && "$$scratch/bin/python" -m pip install -qq -U pip \
	  && "$$scratch/bin/python" -m pip install -qq --no-compile -c "$$scratch/torch.txt" -e '.[test,slurm]' \
	  && grep '^#' constraints.txt > "$$scratch/new.txt" \
	  && "$$scratch/bin/python" -m pip freeze --all --exclude-editable | sed 's/+[a-z0-9.]*$$//' \
	    | LC_ALL=C sort -f >> "$$scratch/new.txt" \
	  && cp "$$scratch/new.txt" constraints.txt
