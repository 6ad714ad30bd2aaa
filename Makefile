# `make demo` shows otkit at work, `make test` proves it; both make their own environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UNTOUCHED := --compare sample_data/encoder

.PHONY: demo test docs slow wheel clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	rm -rf demo
	$(BIN)/otkit align --output demo/aligned
	$(BIN)/otkit show-alignment "Wir haben gestern auf dem Markt frisches Brot gekauft ." \
		"Yesterday we bought fresh bread at the market ." --model demo/aligned $(UNTOUCHED)
	$(BIN)/otkit show-alignment "我们 昨天 在 市场 上 买 了 新鲜 的 面包 。" \
		"Yesterday we bought fresh bread at the market ." --model demo/aligned $(UNTOUCHED)

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q
	sh tests/wheel.sh $(BIN)/python

# Warnings are errors; the Python on the pages runs; nothing on them may load from elsewhere.
docs: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going docs build/docs

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV) demo build dist
