# `make demo` shows emscout at work, `make test` checks all of it. Both need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test browser lint clean

demo: $(VENV)/runtime
	$(BIN)/python examples/demo.py demo

test: $(VENV)/test lint browser
	$(BIN)/pytest -n auto

# The app is tested by clicks in a real browser; where Debian's cannot be had, those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null || { $$(test "$$(id -u)" = 0 || echo sudo -n) sh -c \
	"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium" \
	>/dev/null 2>&1; } || echo "no chromium here: the tests that click in a browser are skipped"

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pins make today's install the install of next year; they hold versions only, no addresses.
$(VENV)/runtime: pyproject.toml constraints/runtime.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints/runtime.txt --editable .
	touch $@

$(VENV)/test: $(VENV)/runtime constraints/test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints/test.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) demo
