# make demo: set up, then search 40 MFLOPs on Fashion-MNIST and write the report.
# make test: set up, then lint, types and tests; those on emulated boards, servers and browsers come last.
# make check: the same without the long tests and those on boards, servers and browsers; 4 minutes on two quiet cores.
# make test-cold: make test with empty caches, as on a new machine.
# make soak: 50 searches struck by signals at seeded moments, and what each leaves; an hour or so. MOMENTS=5 for fewer.
# Then 20 full trainings that are killed.
# Everything is installed into .venv with the exact versions of constraints.txt.

PYTHON ?= python3
WORKERS ?= auto
MOMENTS ?= 50
VENV ?= .venv
BIN := $(VENV)/bin
FASHION := /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz

.PHONY: demo check test test-cold lint bench soak clean
.DEFAULT_GOAL := test

demo: $(VENV)/.installed $(FASHION)
	$(BIN)/snsearch search --budget 40

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive snsearch
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint
	$(BIN)/pytest --numprocesses $(WORKERS) --durations 20 -m "not (long or board or server or browser)"

test: lint
	$(BIN)/pytest --numprocesses $(WORKERS) --durations 20

test-cold:
	cold=$$(mktemp -d) && trap 'rm -rf "$$cold"' EXIT && \
		HOME="$$cold" XDG_CACHE_HOME= SNSEARCH_HOME= SNSEARCH_TEST_CACHE="$$cold/tests" $(MAKE) test

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/counting.py
	$(BIN)/python benchmarks/solving.py

soak: $(VENV)/.installed
	$(BIN)/python -m benchmarks.soak --moments $(MOMENTS)
	$(BIN)/python -m benchmarks.training_kills --kills 20

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	touch $@

# Debian's package; elsewhere, put the four files into $$SNSEARCH_DATA/fashion-mnist.
$(FASHION):
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends dataset-fashion-mnist; \
	elif [ -n "$$SNSEARCH_DATA" ]; then \
		echo "taking Fashion-MNIST from SNSEARCH_DATA"; \
	else \
		echo "Fashion-MNIST is not installed; as root: apt-get install dataset-fashion-mnist (trying the Hugging Face hub)"; \
		$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[hub]"; \
	fi

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
