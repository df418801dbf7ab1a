# The verbs of this project; CI, the README and the documentation call the same ones.
# `make demo` and `make test` set up what they need: Python >= 3.10, Rust >= 1.89 and make have to be there.

PYTHON ?= python3
# maturin hands it on to pip, which otherwise names every package of an extra that is not asked for.
export PIP_QUIET := 1
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := $(shell find rust Cargo.toml Cargo.lock -type f 2>/dev/null)

.PHONY: setup dev build fmt lint test test-extract test-report test-slurm test-root test-install fuzz fuzz-readers soak bench docs docs-links docs-look notebook test-docs demo clean
.DEFAULT_GOAL := test

setup: $(VENV)/.installed

$(VENV)/.tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.9.4,<2'
	touch $@

$(VENV)/.installed: $(VENV)/.tools $(SOURCES)
	@echo 'Building the core (two to three minutes the first time) and installing what it needs ...'
	. $(BIN)/activate && maturin develop --release --quiet --extras study
	touch $@

# With the tools and what tests compare with.
dev: $(VENV)/.dev

$(VENV)/.dev: $(VENV)/.installed
	. $(BIN)/activate && maturin develop --release --quiet --extras dev
	touch $@

# A source distribution, and an abi3 wheel for this machine; those that are published are built by .github/workflows/wheels.yml.
build: dev
	rm -rf dist
	$(BIN)/maturin sdist --out dist
	$(BIN)/maturin build --release --quiet --out dist

# Both, each in an empty environment of every Python from 3.10 to 3.13 that is here.
test-install: build
	$(BIN)/python .ci/install.py dist/* --python 3.10 3.11 3.12 3.13

fmt: dev
	cargo fmt --all
	$(BIN)/ruff format python tests benches examples docs/_tools
	$(BIN)/ruff check --fix python tests benches examples docs/_tools

lint: dev
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release --quiet -- -D warnings
	$(BIN)/ruff format --check python tests benches examples docs/_tools
	$(BIN)/ruff check python tests benches examples docs/_tools
	$(BIN)/mypy
	$(BIN)/stubtest gwrsa._core --ignore-disjoint-bases
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --quiet

# Two processes share the files of tests.
PYTEST2 := $(BIN)/pytest -n 2 --dist loadfile

test: dev
	cargo test --release --quiet -p gwrsa-core
	$(PYTEST2)

# Bad input: FUZZ cases of every property.
FUZZ ?= 5000
fuzz: dev
	PROPTEST_CASES=$(FUZZ) cargo test --release --quiet -p gwrsa-core --test hostile
	GWRSA_FUZZ=$(FUZZ) $(PYTEST2) tests/test_hostile_solves.py tests/test_hostile_data.py tests/test_hostile_files.py --timeout=20000 --durations=30

# Every reader of files, guided by its branches (atheris; SECONDS a format), and on files broken at random.
SECONDS ?= 60
fuzz-readers: dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=2.3'
	$(BIN)/python tests/fuzz_readers.py --seconds $(SECONDS)
	$(BIN)/python tests/fuzz_broken.py

# Half an hour (ARGS='--minutes 5').
soak: dev
	$(BIN)/python tests/soak.py $(ARGS)

$(VENV)/.bench: $(VENV)/.dev
	. $(BIN)/activate && maturin develop --release --quiet --extras dev,bench
	touch $@

# About 40 minutes on two cores that do nothing else; what is there is not measured again (ARGS=--fresh: everything is; ARGS=--quick: a test of it).
bench: $(VENV)/.bench
	$(BIN)/python benches/run.py $(ARGS)

# Networks: about 6 GB of packages, where torch comes with CUDA.
$(VENV)/.extract: $(VENV)/.dev
	. $(BIN)/activate && maturin develop --release --quiet --extras dev,extract,test-extract
	touch $@

test-extract: $(VENV)/.extract
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m extract

# Without a browser these tests are skipped by `make test`; here that is a failure.
test-report: dev
	@command -v chromium chromium-browser google-chrome > /dev/null || { echo 'needs a Chromium: apt-get install chromium'; exit 1; }
	$(BIN)/pytest tests/test_report.py

# Job arrays and Dask on virtual nodes of a real Slurm, skipped by `make test`; without Slurm, or with any of them skipped, this is a failure.
test-slurm: dev
	GWRSA_SLURM=1 GWRSA_NO_SKIPS=1 $(BIN)/pytest -m slurm

# Processes killed, disks full and read-only: these are skipped by `make test` unless root runs it; here that is a failure.
test-root: dev
	GWRSA_NO_SKIPS=1 $(BIN)/pytest tests/test_faults.py

$(VENV)/.docs: $(VENV)/.installed
	. $(BIN)/activate && maturin develop --release --quiet --extras docs
	touch $@

# The site, in site/: its examples run, warnings are errors, no link within it is dead. The Rust core's own pages: cargo doc.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python docs/_tools/check_site.py

# Links to other places; it needs the network.
docs-links: docs
	$(BIN)/python docs/_tools/check_site.py --outside

# Every page in a browser, at the width of a laptop and of a phone; pictures in site-look/.
docs-look: docs dev
	$(BIN)/python docs/_tools/look.py site-look

$(VENV)/.notebook: $(VENV)/.installed
	. $(BIN)/activate && maturin develop --release --quiet --extras notebook
	touch $@

# Executes the notebook again, from its source; what it shows is committed.
notebook: $(VENV)/.notebook
	$(BIN)/python docs/_tools/notebook.py

# What the pages say, said by an installed wheel where there is nothing but what the extras for users bring; torch, 6 GB with CUDA, is left out,
# and with it what the list in docs/_tools/blocks.py names. Anything else that is not run is a failure.
test-docs: build
	rm -rf $(VENV)-empty
	$(PYTHON) -m venv $(VENV)-empty
	$(VENV)-empty/bin/pip install --quiet --disable-pip-version-check "$$(ls -t dist/gwrsa-*.whl | head -1)[study,h5,rsatoolbox,dask]"
	$(VENV)-empty/bin/python -c 'import gwrsa; assert "site-packages" in gwrsa.__file__, gwrsa.__file__'
	$(VENV)-empty/bin/python docs/_tools/blocks.py
	$(VENV)-empty/bin/python docs/_tools/examples.py

demo: setup
	$(BIN)/gwrsa demo

clean:
	rm -rf target $(VENV) dist site site-look $(VENV)-empty
