# Two commands: `make demo` trains a network on real pictures, `make test` runs the tests.
# Both make a virtual environment in .venv and install the package into it first.
#
#   PYTHON=python3.12 make demo     another interpreter
#   ISAS=all make test              build every instruction set (default: this machine's best)

PYTHON ?= python3
ISAS ?= native
VENV ?= .venv
python := $(CURDIR)/$(VENV)/bin/python
sources := $(shell find rushlight \( -name '*.py' -o -name '*.cpp' -o -name '*.h' \)) \
           CMakeLists.txt pyproject.toml

.PHONY: demo test bench check clean

demo: $(VENV)/installed
	cd examples && $(python) -m rushlight 06_cifar10.py

test: $(VENV)/installed-test
	cd tests && $(python) -m pytest -q . $(ARGS)

bench: $(VENV)/installed-test
	cd benchmarks && $(python) run.py $(ARGS)

check: $(VENV)/installed-test
	scripts/check $(python)

$(VENV)/installed: $(sources)
	@scripts/setup "$(PYTHON)" "$(VENV)" "$(ISAS)" "vision,plot,progress"
	@touch $@

$(VENV)/installed-test: $(sources)
	@scripts/setup "$(PYTHON)" "$(VENV)" "$(ISAS)" "dev"
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build examples/out
