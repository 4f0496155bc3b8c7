# Every target sets up what it needs. `make help` lists them.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
PEER := .venv-bench/.peer
DEMO := demo-run
CORPUS ?=
SQUAD ?= ../shared/data/finetune/squad2/train-v2.0.json
REGISTRY ?=
BASE_IMAGE ?= python:3.11-slim
IMAGES ?=
BOOKS ?= ../shared/data/en/books/xlnet/train/*.txt
SHELL := /bin/bash

# uv takes a tenth of pip's time; pip, which may know a mirror that uv does not, goes on where uv fails. Compiled, as pip
# leaves them, modules are imported in a third of the time where Python is told to write no bytecode.
install = $(VENV)/bin/uv pip install -q --compile-bytecode --python $(VENV)/bin/python -r $(1) 2>/dev/null || \
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r $(1)

.DEFAULT_GOAL := help

.PHONY: help
help:  ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUN)  ## The whole chain on real text, in minutes: CORPUS='my/*.txt' takes yours
	@rm -rf $(DEMO)
	@$(VENV)/bin/python -m demo.gather --output $(DEMO)/text $(if $(CORPUS),--corpus $(foreach f,$(CORPUS),'$(f)'))
	@$(VENV)/bin/xlnet pipeline run --config configs/demo.yaml --output $(DEMO)/run --title "XLNet demonstration" \
		--corpus $(DEMO)/text/corpus/train.txt --heldout $(DEMO)/text/corpus/heldout.txt \
		--task-train $(DEMO)/text/task/train.tsv --task-dev $(DEMO)/text/task/dev.tsv

.PHONY: test
test: $(DEV)  ## All tests
	$(VENV)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: images
images:  ## Build the images: REGISTRY=…, BASE_IMAGE=python:3.11-slim@sha256:…, IMAGES='xlnet-pipelines …'
	@$(PYTHON) docker/build.py --registry '$(REGISTRY)' --base '$(BASE_IMAGE)' $(IMAGES)

.PHONY: test-images
test-images: $(DEV)  ## Build the images and run them, in an engine of their own (root, 30 GB of disk, half an hour)
	XLNET_IMAGES_CACHE=build/images-cache $(VENV)/bin/python -m pytest tests/images

.PHONY: lint
lint: $(DEV)  ## Format, lint and types, as before each commit
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy xlnet pipelines components demo

.PHONY: bench
bench: $(DEV) $(PEER)  ## All benchmarks but largest_batch (a GPU) and first_step (a data set); BOOKS='books/*.txt' is the text
	$(VENV)/bin/python -m benchmarks.tokenization --text '$(BOOKS)'
	$(VENV)/bin/python -m benchmarks.preprocessing --text '$(BOOKS)'
	$(VENV)/bin/python -m benchmarks.scaling --text '$(BOOKS)' --megabytes 10 300 --grow
	$(VENV)/bin/python -m benchmarks.reading
	$(VENV)/bin/python -m benchmarks.pretraining_step --peer-python .venv-bench/bin/python
	$(VENV)/bin/python -m benchmarks.step_memory --peer-python .venv-bench/bin/python
	$(VENV)/bin/python -m benchmarks.step_shapes
	$(VENV)/bin/python -m benchmarks.serving --texts '$(subst /xlnet/,/raw/,$(BOOKS))' --books '$(BOOKS)' --peer-python .venv-bench/bin/python
	$(VENV)/bin/python -m benchmarks.span_features --data '$(SQUAD)' --peer-python .venv-bench/bin/python
	$(VENV)/bin/python -m benchmarks.generation
	$(VENV)/bin/python -m benchmarks.finetuning_step --peer-python .venv-bench/bin/python
	$(VENV)/bin/python -m benchmarks.finetuning_memory

.PHONY: lock
lock: $(DEV)  ## Resolve the dependencies of pyproject.toml anew
	$(VENV)/bin/uv pip compile -q --upgrade --no-header --no-annotate --extra gcp --extra kubeflow pyproject.toml -o locks/run.txt
	$(VENV)/bin/uv pip compile -q --no-header --no-annotate --extra gcp --extra kubeflow --extra jax --extra export --extra dev -c locks/run.txt pyproject.toml -o locks/dev.txt
	for device in cuda12 tpu; do echo "jax[$$device]" | $(VENV)/bin/uv pip compile -q --no-header --no-annotate -c locks/dev.txt - -o locks/$$(echo $$device | sed s/cuda12/gpu/).txt; done

.PHONY: clean
clean:  ## Remove what the targets made
	rm -rf $(VENV) .venv-bench $(DEMO)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "error: Python 3.11 or 3.12 is needed, $$($(PYTHON) --version) was found; set PYTHON=" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "error: python3-venv is missing: apt-get install python3-venv" >&2; exit 2; }
	@$@ -m pip install -q --disable-pip-version-check -r locks/uv.txt 2>/dev/null || true

$(RUN): locks/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) (some minutes the first time)"
	@$(call install,locks/run.txt)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): locks/dev.txt $(RUN)
	@$(call install,locks/dev.txt)
	@touch $@

$(PEER): locks/bench.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -q --disable-pip-version-check -r locks/bench.txt
	@touch $@
