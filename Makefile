# `make search` and `make test` do all the set-up themselves; nothing but Python and make is needed.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: help search test quick lint fuzz torture bench web ship clean

help:
	@echo "make search  set up, then search search_spaces/fer.yaml on embedded synthetic faces"
	@echo "make test    set up, then run all the tests"
	@echo "make quick   set up, then run those that take under a minute together"
	@echo "make lint    set up, then run ruff and mypy"
	@echo "make fuzz    set up, then fuzz the readers of text files, guided by coverage (30 minutes)"
	@echo "make torture  set up, then kill, stop and starve searches, and look at what is left"
	@echo "make bench   set up, then run the benchmarks (quiet machine, some minutes)"
	@echo "make web     fetch ONNX Runtime Web with npm, for nas.realtime --web"
	@echo "make ship MODEL=FOLDER [NAME=best]  let the demo take this exported network, by default or by name"
	@echo "make clean   remove the environment"

# Made anew when the dependencies change; torch first and at one version. Where pip finds no CPU build,
# this is the CUDA one (5.7 GB).
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check torch==2.13.0 || \
	  echo "no torch 2.13.0 here: taking what pyproject.toml allows"
	$(RUN) -m pip install -q --disable-pip-version-check -e ".[dev]"
	touch $@

search: $(VENV)/installed
	$(RUN) -m nas.search --space search_spaces/fer.yaml

test: $(VENV)/installed
	$(RUN) -m pytest

quick: $(VENV)/installed
	$(RUN) -m pytest -m "not slow and not ray and not browser"

lint: $(VENV)/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# Coverage-guided, two minutes a reader; tests/test_fuzz.py is the quick one.
fuzz: $(VENV)/installed
	$(RUN) -m pip install -q --disable-pip-version-check -e ".[fuzz]"
	for reader in space recipe settings genome evaluations pending machine front fingerprints report epochs "test reads" FER2013 FERPlus table; do \
	  PYTHONPATH=. $(RUN) tests/fuzz.py "$$reader" -max_total_time=120 || exit 1; \
	done

# Kills, stopped workers, full and read-only disks: 35 minutes on a busy core; what cannot be mounted is skipped.
torture: $(VENV)/installed
	PYTHONPATH=. $(RUN) experiments/torture/run.py

bench: $(VENV)/installed
	$(RUN) experiments/training/run.py
	$(RUN) experiments/workers/run.py

# 14 MB of WebAssembly; versions and checksums stand in package-lock.json.
web:
	cd nas/realtime/page && npm ci

# A model that comes with the package, its int8 version and its card; nas.realtime takes the one that
# is called model where none is named, and others with --model NAME.
NAME ?= model
CARD = $(if $(filter model,$(NAME)),MODEL_CARD.md,$(NAME)_card.md)
ship:
	cp "$(MODEL)/model.onnx" "experiments/models/$(NAME).onnx"
	cp "$(MODEL)/model.int8.onnx" "experiments/models/$(NAME).int8.onnx"
	cp "$(MODEL)/MODEL_CARD.md" "experiments/models/$(CARD)"

clean:
	rm -rf $(VENV)
