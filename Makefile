# Needs Python 3.11 or newer, make, and a package index. Everything is installed into folders beside this file; `make clean` removes them.
PYTHON ?= python3
BIN    := .venv/bin
PIP    := -m pip install --quiet --disable-pip-version-check
ROOMS  := alerts api archive blocks cli demo flows tasks testing
WORKERS ?= 2

export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all lint types bench reference venv clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed .venv-s3/.installed  ## the whole job on this machine, in a minute or two the first time: logs, archive, alert
	$(BIN)/python -m prefect_deepset.demo

test: .venv/.installed .venv-s3/.installed  ## what needs no more than the above, in a few minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not swift and not browser and not dask and not slow"

test-all: .venv/.all .venv-s3/.installed .venv-swift/.installed  ## the rest: Swift, a browser, Dask, slow ones; says what it skips and why
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "swift or browser or dask or slow" -rs

lint: .venv/.installed  ## ruff
	$(BIN)/ruff check .

types: .venv/.installed  ## basedpyright: strict on api, archive and alerts
	$(BIN)/basedpyright --pythonpath $(BIN)/python

bench: .venv/.installed .venv-s3/.installed  ## the benchmarks of docs/benchmarks.md
	$(BIN)/python -m benchmarks

reference: .venv/.installed  ## docs/reference.md, from the docstrings
	$(BIN)/python docs/reference.py

venv: .venv/.installed  ## only the environment in .venv

clean:  ## remove environments, caches and the demo's output
	rm -rf .venv .venv-s3 .venv-swift build dist *.egg-info demo-output .pytest_cache .ruff_cache .hypothesis benchmarks/.venvs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The import root shows type checkers and editors, which do not run import hooks, where the installed names live.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) -c constraints.txt -e '.[test,lint]'
	mkdir -p .venv/import-root/prefect_deepset
	for room in $(ROOMS); do ln -sfn ../../../$$room .venv/import-root/prefect_deepset/$$room; done
	touch $@

.venv/.all: .venv/.installed
	$(BIN)/python $(PIP) -c constraints.txt -e '.[test,lint,browser,dask]'
	touch $@

# Test servers, each in an environment of its own: they pin botocore and others to versions that are not ours.
.venv-s3/.installed:
	$(PYTHON) -m venv .venv-s3
	.venv-s3/bin/python $(PIP) ministack==1.5.33
	touch $@

.venv-swift/.installed:
	$(PYTHON) -m venv .venv-swift
	.venv-swift/bin/python $(PIP) swift==2.38.3
	touch $@
