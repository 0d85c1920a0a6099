# `quickstart` and `test` are the README's; each does all of its own set-up. `docs` builds the
# documentation site; `locks` and `sbom` are for a release.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

# The environments are made here, and their bytecode is written: where a shell forbids it, every process of the
# quickstart compiles torch and transformers anew, some 10 to 20 s of a processor each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test docs locks sbom

# The quickstart's runs are measured in two engines that people deploy, so both are installed with the runner.
# What is imported is compiled then: compiling all of torch beforehand takes longer than the rest of the installation.
# torch first and pinned: an open range would fetch a CUDA build of gigabytes on a machine without a GPU.
$(VENV)/.runner: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[runner,onnx,ctranslate2]'
	touch $@

$(VENV)/.dev: $(VENV)/.runner
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[runner,onnx,openvino,ctranslate2,postgres,service,notebooks,parquet,dev]'
	touch $@

quickstart: $(VENV)/.runner
	$(BIN)/soundscale quickstart

test: $(VENV)/.dev
	PATH="$(abspath $(BIN)):$$PATH" bash .ci/check

# The documentation site, in site/; it reads docstrings without importing them, so its environment holds nothing else.
$(VENV)-docs/.tools: docs/requirements.txt
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $@

docs: $(VENV)-docs/.tools
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict --quiet

# Tools of a release, in an environment of their own.
$(VENV)-release/.tools: Makefile
	$(PYTHON) -m venv $(VENV)-release
	$(VENV)-release/bin/pip install --quiet --disable-pip-version-check uv==0.13.9 cyclonedx-bom==7.5.0
	touch $@

# Hashed locks of every extra, after pyproject.toml or constraints.txt changed.
locks: $(VENV)-release/.tools
	$(VENV)-release/bin/python .ci/locks.py

# What a release is made of, as CycloneDX 1.6 with the hashes of the lock.
sbom: $(VENV)-release/.tools
	mkdir -p dist
	$(VENV)-release/bin/cyclonedx-py requirements lock/all.txt --pyproject pyproject.toml --spec-version 1.6 \
		--output-reproducible --validate -o dist/soundscale.cdx.json
