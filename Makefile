# The two commands of the README; each does all of its own set-up.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.PHONY: quickstart test

# torch first and pinned: an open range would fetch a CUDA build of gigabytes on a machine without a GPU.
$(VENV)/.runner: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[runner]'
	touch $@

$(VENV)/.dev: $(VENV)/.runner
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[runner,onnx,openvino,ctranslate2,postgres,service,notebooks,parquet,dev]'
	touch $@

quickstart: $(VENV)/.runner
	$(BIN)/soundscale quickstart

test: $(VENV)/.dev
	PATH="$(abspath $(BIN)):$$PATH" bash .ci/check
