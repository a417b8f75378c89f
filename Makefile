# Two commands do everything on a fresh machine with python3 (3.11 or 3.12) and make:
#   make demo    a fair classifier on Adult: search, report, plot
#   make test    the test suite
# Both make .venv from the pins in requirements/dev.txt first.
# make docs      these pages as HTML, in docs/_build/html (in .venv-docs, from requirements/docs.txt; a minute when that is there)
# make gallery   the same with the examples run and their pictures in it (seven minutes more; later only those that changed)

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

# Real data, where a copy lies beside the project; otherwise the loaders download it (see docs/datasets.md).
ifeq ($(origin SKFAIR_DATA),undefined)
ifneq ($(wildcard ../shared/datasets/README.md),)
export SKFAIR_DATA := $(abspath ../shared/datasets)
endif
endif
# one thread per process: the workers share the cores
export OMP_NUM_THREADS := 1

.PHONY: demo test test-all lint bench docs gallery pins clean

demo: .venv/.done
	$(BIN)/python examples/quickstart.py demo_output

test: .venv/.done
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow"

test-all: .venv/.done
	$(BIN)/python -m pytest -q -n $(WORKERS)

lint: .venv/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/.done
	for file in benchmarks/[a-z]*.py; do case $$file in */common.py) ;; *) $(BIN)/python $$file || exit 1;; esac; done

# Warnings are errors.
docs: .venv-docs/.done
	.venv-docs/bin/python -m sphinx -W --keep-going -b html docs docs/_build/html

gallery: export SKFAIR_GALLERY := 1
gallery: docs

# Write the pins anew. The files name no package index.
pins: .venv/.done
	$(BIN)/uv pip compile requirements/dev.in --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		--no-emit-index-url -q -o requirements/dev.txt
	$(BIN)/uv pip compile requirements/docs.in --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		--no-emit-index-url -q -o requirements/docs.txt

.venv/.done: requirements/dev.txt setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c "import sys; assert sys.version_info >= (3, 11), f'skfair needs Python 3.11 or newer, got {sys.version}'"
	$(BIN)/python -m pip install -q "uv==0.13.8"
	$(BIN)/uv pip install -q --python $(BIN)/python -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

.venv-docs/.done: requirements/docs.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q "uv==0.13.8"
	.venv-docs/bin/uv pip install -q --python .venv-docs/bin/python -r requirements/docs.txt
	touch $@

clean:
	rm -rf .venv .venv-docs demo_output build *.egg-info docs/_build docs/generated docs/api/generated docs/auto_examples
