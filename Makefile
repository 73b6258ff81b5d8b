# SPDX-License-Identifier: Apache-2.0
#
# Everything happens in .venv, which the first target that needs it sets up. The stack is compiled in place; a .so is
# rebuilt when its source changes, and so never shadows an edit. LINNET_PURE=1 make … leaves out the compiler.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
JOBS ?= 2
PYTEST := $(PY) -m pytest -n $(JOBS) --dist loadgroup

SOURCES := $(shell find src/linnet/include src/linnet/kernel src/linnet/net src/linnet/drivers -name '*.py')
FRAME := pyproject.toml setup.py

ifneq ($(filter-out 0,$(LINNET_PURE)),)
READY := $(VENV)/.base
else
READY := $(VENV)/.compiled
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check compiled pure bench docs clean build-says FORCE

help:
	@echo 'make run       set up .venv, compile, show the demo'
	@echo 'make test      all tests on the compiled build, then unit tests and scripts interpreted'
	@echo 'make check     ruff, mypy, the import contracts, unit tests interpreted: under a minute'
	@echo 'make compiled  compile what has changed, in place'
	@echo 'make pure      remove what is compiled: run the sources'
	@echo 'make bench     measure what the documentation claims'
	@echo 'make docs      build the documentation into build/site'
	@echo 'make clean     remove .venv and all that was built'

run: $(READY) build-says
	@$(VENV)/bin/linnet demo

test: $(READY) $(VENV)/.test build-says
	$(PYTEST) tests
	@if [ "$$($(PY) -c 'from linnet import _pure; print(_pure.build())')" = compiled ]; then \
	  echo "the unit tests and the scripts again, interpreted"; LINNET_PURE=1 $(PYTEST) tests/unit tests/conformance; fi

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	LINNET_PURE=1 $(PYTEST) -q tests/unit

compiled: $(VENV)/.compiled build-says

pure:
	find src/linnet -name '*.so' -delete
	rm -f $(VENV)/.compiled

bench: $(READY) $(VENV)/.test build-says
	@set -e; for bench in benches/bench_*.py; do echo "== $$bench"; $(PY) "$$bench"; done

docs: $(VENV)/.docs
	$(VENV)/bin/mkdocs build --quiet --strict
	@echo 'build/site/index.html'

clean: pure
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

build-says: $(READY)
	@$(PY) -c 'import linnet, sys; from linnet import _pure; print(f"linnet {linnet.__version__}, {_pure.build()}, \
	Python {sys.version.split()[0]}")'

# The interpreter is judged before anything is made, and a venv without pip is taken away again.
$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo 'linnet needs Python 3.11 to 3.13; on Debian: apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "linnet needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) -V); choose one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make a virtual environment: its venv package is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo 'setting up $(VENV)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# What builds the package is installed beside it, so that `make compiled` builds in this environment and incrementally.
# The package itself goes in uncompiled here; the compiling is the next rule's, which knows the sources.
$(VENV)/.base: pyproject.toml setup.py | $(VENV)/pyvenv.cfg
	@echo 'installing linnet and what it needs'
	@$(PIP) --upgrade pip
	@$(PIP) 'setuptools>=77' 'mypy[mypyc]>=2.4,<2.5' 'types-greenlet>=3.2,<4'
	@LINNET_PURE=1 $(PIP) --no-build-isolation --editable .
	@touch $@

# A file that was added, removed or renamed is a change, too, and so is another LINNET_OPT.
BUILT_FROM := $(LINNET_OPT) $(sort $(SOURCES))
$(VENV)/.sources: FORCE | $(VENV)/pyvenv.cfg
	@echo '$(BUILT_FROM)' | cmp -s - $@ || echo '$(BUILT_FROM)' > $@

$(VENV)/.compiled: $(VENV)/.base $(VENV)/.sources $(SOURCES) $(FRAME)
	@$(PY) setup.py --quiet build_ext --inplace
	@touch $@

# The installed linnet-net satisfies these; pip adds what the extra names.
$(VENV)/.test: $(VENV)/.base
	@echo 'installing what the tests need'
	@$(PIP) 'linnet-net[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo 'installing what the checks need'
	@$(PIP) 'linnet-net[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@$(PIP) 'linnet-net[docs]'
	@touch $@
