# make demo             the server, the sample bots and the web page; SECONDS=15 ends by itself
# make cluster          a Redis, two nodes on it, and the sample bots and the page over both; SECONDS=15
#                       ends by itself
# make ops              a server with the sample bots as its load, and a Prometheus that asks it each second;
#                       SECONDS=15 ends by itself
# make test             lint, types and tests; installs all that they need
# make bench            all benchmarks, ours and other systems side by side, and docs/performance.md;
#                       BENCH="--only direct --rounds 3" measures some, BENCH=--quick tries all, and
#                       BENCH="--against COMMIT" measures ours as they were then, too. What a clean
#                       checkout gives is kept in benchmarks/history.json
# make bench-comeback   a server with 2,000 sessions is killed: how long until all are back
# make simulation       worlds of faults from SEEDS=2000 seeds on, of one server or, with WORLDS=nodes, of several
#                       nodes on one state; a failing one is named
# make test-compose     compose.yaml, started and asked, where a Docker daemon answers
# make fuzz-short       two minutes of coverage-guided fuzzing, as in CI
# make fuzz             the same for SECONDS=14400; what is found is in fuzz/findings
# make site             the documentation site, in build/site
# make dist             the sdist and the wheel, checked, in dist
# make sbom             a bill of the materials that the wheel installs (CycloneDX), in dist
# make deb              a Debian package for this machine's release of Debian, in dist
# make pin-images       writes the digest behind each image in Containerfile and the compose files, as
#                       the registries have them now; it needs to reach these
# make clean            removes all that these made
#
# PYTHON=python3.12 makes .venv with another Python.

PYTHON ?= python3
export PYTHON
# Where the surroundings forbid it (many images of Python do), each process would compile all of its
# modules anew: a third of what a test costs that starts a command.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin

.DELETE_ON_ERROR:
# Steps run one after the other even under -j: they share apt, two cores and the reader's screen.
.NOTPARALLEL:
.PHONY: test needs lint types pytest demo cluster ops bench bench-comeback simulation fuzz-short test-compose fuzz site dist sbom deb pin-images clean

test: needs lint types pytest

needs:
	@PATH="$$PATH:/usr/sbin" .ci/need $(PYTHON):python3 ensurepip:python3-venv node:nodejs npm:npm \
		chromium:chromium chromedriver:chromium-driver openssl:openssl \
		redis-server:redis-server haproxy:haproxy setpriv:util-linux git:git zsh:zsh fish:fish promtool:prometheus \
		systemd-analyze:systemd

lint: .venv/has-tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/has-tools
	$(BIN)/mypy
	$(BIN)/pyright

pytest: .venv/has-tools tests/node_modules/.package-lock.json samples/web/node_modules/.package-lock.json
	$(BIN)/python -m pytest

demo: .venv/has-server samples/web/node_modules/.package-lock.json
	$(BIN)/python -m samples.demo $(if $(SECONDS),--seconds $(SECONDS))

cluster: .venv/has-redis samples/web/node_modules/.package-lock.json
	@.ci/need redis-server:redis-server
	$(BIN)/python -m samples.cluster $(if $(SECONDS),--seconds $(SECONDS))

ops: .venv/has-server
	@.ci/need prometheus:prometheus
	$(BIN)/python -m samples.ops $(if $(SECONDS),--seconds $(SECONDS))

bench: .venv/has-redis benchmarks/.venv/has-peers benchmarks/peers/node_modules/.package-lock.json
	@PATH="$$PATH:/usr/sbin" .ci/need nats-server:nats-server redis-server:redis-server
	$(BIN)/python -m benchmarks $(BENCH)
	$(BIN)/python -m benchmarks.history
	$(BIN)/python -m benchmarks.report

bench-comeback: .venv/has-server
	$(BIN)/python -m benchmarks.comeback

SEEDS ?= 2000
WORLDS ?= server
simulation: .venv/has-tools
	$(BIN)/python -m tests.simulation $(WORLDS) --seeds $(SEEDS)

test-compose: .venv/has-tools
	$(BIN)/python -m pytest -n 0 tests/ops/compose.py

# Half of the two minutes goes into getting ready: each target is instrumented anew.
fuzz-short: .venv/has-fuzz
	$(BIN)/python -m fuzz --short

fuzz: .venv/has-fuzz
	$(BIN)/python -m fuzz --seconds $(or $(SECONDS),14400)

site: .venv/has-tools
	$(BIN)/python -m website

dist: .venv/has-tools
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# In an environment that has nothing else; pip is no part of what runs.
sbom: dist
	rm -rf build/sbom
	$(PYTHON) -m venv build/sbom/installed
	$(PYTHON) -m venv build/sbom/tool
	build/sbom/installed/bin/python -m pip install --quiet --disable-pip-version-check \
		"$$(echo dist/*.whl)[server,redis]"
	build/sbom/installed/bin/python -m pip uninstall --quiet --yes pip setuptools
	build/sbom/tool/bin/python -m pip install --quiet --disable-pip-version-check \
		'cyclonedx-bom >= 7, < 8'
	build/sbom/tool/bin/cyclonedx-py environment --output-reproducible --of JSON \
		--output-file dist/signal_sdk.cdx.json build/sbom/installed/bin/python
	$(PYTHON) ops/bill.py dist/signal_sdk.cdx.json

pin-images:
	@.ci/need skopeo:skopeo
	$(PYTHON) ops/pin_images.py Containerfile compose.yaml samples/compose/compose.yaml

# Not part of `make test`: it asks for the tools of Debian's packagers, and installs all libraries anew.
deb: dist
	@PYTHON=/usr/bin/python3 .ci/need dpkg-buildpackage:dpkg-dev dh:debhelper dh_python3:dh-python ensurepip:python3-venv
	rm -rf build/deb
	mkdir -p build/deb
	tar -xf dist/*.tar.gz -C build/deb
	cd build/deb/signal_sdk-* && dpkg-buildpackage --no-sign --build=binary
	cp build/deb/*.deb dist

clean:
	rm -rf .venv build dist *.egg-info tests/node_modules samples/web/node_modules tests/artifacts fuzz/findings
	rm -rf benchmarks/.venv benchmarks/peers/node_modules benchmarks/results.json
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find signal_sdk tests samples benchmarks fuzz website -name __pycache__ -prune -exec rm -rf {} +

# The files .venv/has-* say what has been installed, so that a second run installs nothing.

$(BIN)/python:
	@.ci/need $(PYTHON):python3 ensurepip:python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'error: $(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.11' >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/has-server: setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server]'
	@touch $@

.venv/has-redis: setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,redis]'
	@touch $@ .venv/has-server

.venv/has-tools: setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,redis,cli,test,docs,lint]'
	@touch $@ .venv/has-server .venv/has-redis

.venv/has-fuzz: setup.cfg setup.py pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,fuzz]'
	@touch $@

# The other systems' Python clients and servers, which need releases of their own.
benchmarks/.venv/has-peers: benchmarks/peers/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# npm itself writes node_modules/.package-lock.json, which says what it has installed.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@.ci/need node:nodejs npm:npm
	cd $* && npm ci --no-audit --no-fund --loglevel=error </dev/null
	@touch $@
