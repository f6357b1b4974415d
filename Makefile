# The project's commands. `make run` and `make test` set up what they need first; see environment/.
#
#   make run                     set up, then run the whole pipeline with the preset `quick`
#   make run ARGS='--root runs/b --set pretrain.epochs=5'
#   make test                    set up, then run the tests that are not slow;  make test ARGS='tests/trainer -k collapse'
#   make test-all                the same, and then the slow tests
#   make format                  bring the code into its form, and say what is wrong in it
#   make browser                 install Chromium for the tests of a run's page, if possible
#   make setup                   .venv from the pinned lists; does nothing if they are unchanged
#   make requirements            regenerate requirements/*.txt from pyproject.toml, keeping pins that still fit
#   make requirements UPGRADE=1  the same with the newest versions that fit
#   make image                   build the container image flowers:cpu with docker, podman or buildah, the first that works
#   make image ACCELERATOR=gpu IMAGE=HOST/PATH:TAG     see docs/image.md for BASE, BUILDER and IMAGE_FLAGS
#   make clean                   remove .venv and caches; runs/ stays
#
# PYTHON=python3.13 chooses the interpreter. Without it, the one that .venv was made with is kept, or the first suitable one of
# python3.13, python3.12, python3.11 and python3 is used. WORKERS is how many processes run tests; each needs a core and 2 GB.

PYTHON =
ARGS =
UPGRADE =
WORKERS = 2
ACCELERATOR = cpu
IMAGE = flowers:$(ACCELERATOR)
BASE =
BUILDER =
IMAGE_FLAGS =

# Makes all lists of pins. --universal: one list for Python 3.11 to 3.13.
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make requirements' $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help run test test-all format browser setup requirements image clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup:
	@PYTHON='$(PYTHON)' sh environment/set_up.sh

run: setup
	@.venv/bin/flowers run --preset quick $(ARGS)

test: setup
	@if sh environment/run_tests.sh $(WORKERS) 'not slow' $(ARGS); then echo 'make test: passed.'; \
	else echo 'make test: FAILED, see above.' >&2; exit 1; fi

test-all: test
	@if sh environment/run_tests.sh $(WORKERS) slow $(ARGS); then echo 'make test-all: passed.'; \
	else echo 'make test-all: FAILED, see above.' >&2; exit 1; fi

format: setup
	@.venv/bin/ruff format
	@.venv/bin/ruff check

browser:
	@sh environment/browser.sh

requirements: setup
	$(COMPILE) --group tools -o requirements/tools.txt
	$(COMPILE) pyproject.toml -c requirements/tools.txt -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra export --group development -c requirements/runtime.txt -c requirements/tools.txt -o requirements/development.txt
	$(COMPILE) pyproject.toml --extra gpu -c requirements/runtime.txt -o requirements/gpu.txt

image:
	@ACCELERATOR='$(ACCELERATOR)' IMAGE='$(IMAGE)' BASE='$(BASE)' BUILDER='$(BUILDER)' IMAGE_FLAGS='$(IMAGE_FLAGS)' \
	  sh environment/build_image.sh

clean:
	rm -rf .venv build .pytest_cache *.egg-info
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
