# make demo: set up, then search 40 MFLOPs on Fashion-MNIST and write the report.
# make test: set up, then lint, types and tests.
# Everything is installed into .venv with the exact versions of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FASHION := /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz

.PHONY: demo test bench clean
.DEFAULT_GOAL := test

demo: $(VENV)/.installed $(FASHION)
	$(BIN)/snsearch search --budget 40

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/counting.py
	$(BIN)/python benchmarks/solving.py

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
