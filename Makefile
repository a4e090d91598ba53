# `make` lists the targets. Everything runs in .venv, which is made from the lock when it is missing or the lock is newer.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PROFILE ?= embedded
NOTEBOOK ?=
ARGS ?=
RUN ?=
STRICT ?=

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
UFM := $(BIN)/ufm
# References are made with the plainest kernels and compared with those of the processor at hand, both in places of their own.
PLAIN := OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41 CUDA_VISIBLE_DEVICES=
# Recipes name files relative to this folder, whose own path may hold spaces; what needs it whole takes "$$PWD".

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	"$(PYTHON)" -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch "$@"

install: $(READY) ## make .venv from the lock

book: $(READY) ## execute the notebooks and build the book: PROFILE=embedded or paper, STRICT=1 if nothing may be missing
	$(BIN)/doit -n 2 execute "profile=$(PROFILE)"
	$(UFM) book --profile "$(PROFILE)" $(if $(STRICT),--strict)

pdf: $(READY) ## print the book that was built last as one file, _build/book.pdf, with Chromium
	$(UFM) pdf

test: lint unit regression ## lint, unit tests, the notebooks against their references, the book of the embedded profile
	UFM_RUNS="$$PWD/_build/regression/runs" $(MAKE) book # which need not train again what the regression has trained
	$(MAKE) browser

lint: $(READY) ## lint, formatting, types, and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

unit: $(READY) ## unit and property tests, on every core
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

browser: $(READY) ## the book that was built last, in Chromium, where there is one
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 tests/browser

coverage: $(READY) ## which lines of src the unit tests do not reach
	rm -rf _build/coverage
	mkdir -p _build/coverage
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -n auto
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

floors: ## the unit tests with the oldest packages that pyproject.toml allows (needs uv)
	OMP_NUM_THREADS=1 uv run --no-project --isolated --python "$(PYTHON)" --resolution lowest-direct \
	  --with-editable ".[audit,book,cluster,dev]" pytest -n auto -W ignore::DeprecationWarning # of packages between themselves

regression: $(READY) ## re-run the reference notebooks and compare every output
	rm -rf _build/regression # with no record or earlier run in reach, everything is trained again
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= UFM_RUNS="$$PWD/_build/regression/runs" UFM_RECORDS="$$PWD/_build/regression/records" \
	$(BIN)/pytest -n 2 --dist loadscope --nbval --nbval-current-env tests/reference/*.ipynb

run: $(READY) ## execute one notebook: NOTEBOOK=controls ARGS="-p dataset mnist -p n_seeds 8"
	@test -n "$(NOTEBOOK)" || { echo 'make run: say which, e.g. make run NOTEBOOK=controls ARGS="-p n_seeds 8"' >&2; exit 2; }
	$(UFM) run "$(NOTEBOOK)" $(ARGS)

compare: $(READY) ## set a re-run's numbers beside the book's: RUN=_build/runs/…
	@test -n "$(RUN)" || { echo 'make compare: say which, e.g. make compare RUN=_build/runs/controls' >&2; exit 2; }
	$(UFM) compare "$(RUN)"

notebooks: $(READY) ## write the notebooks as .ipynb files that read and run outside the book
	$(BIN)/doit -n 2 execute
	$(UFM) ipynb _build/notebooks

reference: $(READY) ## renew the reference notebooks in tests/reference
	$(PLAIN) UFM_RUNS="$$PWD/_build/reference" $(BIN)/doit -n 2 execute
	UFM_RUNS="$$PWD/_build/reference" $(UFM) ipynb --as-executed tests/reference

baseline: $(READY) ## draw the pictures anew with which tests compare main figures, into tests/baseline
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/test_looks.py -k looks_as_it_did --mpl-generate-path=tests/baseline

bench: $(READY) ## measure how fast populations train and are scored, into book/benchmarks (speed.md, on a GPU speed-gpu.md)
	mkdir -p _build
	$(BIN)/python benchmarks/speed.py > _build/speed.md
	mv _build/speed.md book/benchmarks/speed$$($(BIN)/python -c 'import torch; print("-gpu" * torch.cuda.is_available())').md

readme: $(READY) ## renew the README's table of results from the records
	$(UFM) readme

lock: $(READY) ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --output-file requirements.lock

clean: ## remove what was built; .venv and data stay
	rm -rf _build

.PHONY: help install book pdf test lint unit browser coverage floors regression run compare notebooks reference baseline bench readme lock clean
