# make demo    install missing packages (apt), build, run a command in a real guest
# make check   the same, and run every test
# make bench   the same, and measure against other programs (docs/BENCHMARKS.md); QUICK=1 takes a few minutes
# make api     build, and write what is derived from src/api: docs/api.json, parts of python/pyro_mcp and of docs/contract.md
# make usermode  build the guest kernel for hosts without KVM, from Debian's kernel sources: docs/usermode.md
# make fuzz    build the fuzz targets, and run each for MINUTES (1); FUZZ names some of them. `make fuzz-coverage` tells which lines they reach
# make kvm-check  build, and try pyro on a real KVM, which QEMU emulates (CONTRIBUTING.md); needs root, and an hour or less
# make soak    build, and have MINUTES=30 of kills, full disks and clock steps upon TASKS=30 (CONTRIBUTING.md)
# make tsan    build with ThreadSanitizer, and run the tests of all that has threads (CONTRIBUTING.md)
# make python  build, and the Python module too: importable with PYTHONPATH=build/python
# The rest is for daily work; see CONTRIBUTING.md.

JOBS ?= $(shell nproc)
# In halves of a core, and for one core more than there are: a test waits for a guest, a timer or the network for about a third of its time.
TEST_JOBS ?= $(shell expr $$(nproc) '*' 2 + 2)
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON := /usr/bin/python3
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
SOURCES = $(shell git ls-files '*.cc' '*.h')

# In CI a guest test that is skipped is a failure, and the fault suite takes its full number of kills.
ifdef CI
export PYRO_REQUIRE_QEMU := 1
export PYRO_FAULT_KILLS ?= 50
endif
# Everything that VM tests boot is built once.
export PYRO_TEST_CACHE ?= $(CURDIR)/build/test-cache

.PHONY: demo how-long enough-disk check coverage fuzz fuzz-coverage bench build usermode python api install format clean dist dist-check kvm-check soak tsan deps-build deps-run deps-check deps-fuzz deps-dist deps-usermode deps-kvm check-style build-release check-release build-dev check-dev lint

demo: how-long build deps-run
	tools/demo.sh build/bin/pyro

# In GiB: both builds, the environments with their templates, and what tests write at once.
enough-disk:
	@tools/enough_disk.sh build 18

how-long:
	@tools/how_long.sh build $(JOBS)

# BENCH holds options of bench/bench.py.
bench: build
	@tools/install_packages.sh run images bench
	PYTHONDONTWRITEBYTECODE=1 $(PYTHON) bench/bench.py $(if $(QUICK),--quick) $(BENCH)

build: deps-build
	cmake --preset release -DPYRO_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build --preset release -j $(JOBS) --target programs

# Not part of `make demo`: with an empty compiler cache this takes minutes.
usermode: deps-usermode
	usermode/build.sh build $(JOBS)

python: build
	cmake --build --preset release -j $(JOBS) --target _pyro
	@echo "Start Python with PYTHONPATH=$(CURDIR)/build/python, then: from pyro_mcp import Pyro"

api: python
	PYTHONPATH=build/python $(PYTHON) -B tools/make_api.py build/bin/pyro

# All tests are one run of ctest: those without guests are the first, while environments are pulled, and fill the gaps later.
check: enough-disk check-style build-release build-dev lint
	mkdir -p build/check
	printf 'subdirs("%s")\n' $(CURDIR)/build $(CURDIR)/build/dev > build/check/CTestTestfile.cmake
	rm -rf build/results build/dev/results
	ctest --test-dir build/check -j $(TEST_JOBS) --output-on-failure --no-tests=error
	@$(PYTHON) -B tools/summarize_tests.py build/results build/dev/results
	@echo "check: everything passed"

deps-build:
	@tools/install_packages.sh build
deps-run:
	@tools/install_packages.sh run images
deps-dist:
	@tools/install_packages.sh dist
deps-check:
	@tools/install_packages.sh build run images check usermode
deps-fuzz:
	@tools/install_packages.sh build fuzz
deps-usermode:
	@tools/install_packages.sh usermode
deps-kvm:
	@tools/install_packages.sh kvm

# Another version of the formatter or the linter judges otherwise, so where there is no version 14 they are left out.
has_14 = $(shell command -v clang-$(1)-14)

check-style: deps-check
	$(if $(call has_14,format),clang-format-14 --dry-run --Werror $(SOURCES),@echo "check-style: this system has no clang-format 14: the sources' form is not checked")
	$(PYTHON) tools/check_layers.py
	$(PYTHON) tools/check_names.py
	$(PYTHON) tools/check_docs.py

# The programs as users have them, with real guests.
build-release: deps-check usermode
	cmake --preset release -DPYRO_TESTS=ON
	cmake --build --preset release -j $(JOBS)

check-release: build-release
	rm -rf build/results
	ctest --test-dir build -j $(TEST_JOBS) --output-on-failure --no-tests=error

# The same sources under ASan and UBSan, with another compiler, as far as no guest is needed; and the fuzz targets.
build-dev: deps-check
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS) --target guestless

check-dev: build-dev
	rm -rf build/dev/results
	ctest --test-dir build/dev -j $(TEST_JOBS) --output-on-failure --no-tests=error

# Which lines of engine, supervisor and command line the tests without guests run.
coverage: deps-check
	$(PYTHON) -B tools/coverage.py --jobs $(JOBS)

# MINUTES for each target; FUZZ: only these.
MINUTES ?= 1
fuzz: deps-fuzz
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS) --target fuzzers
	$(PYTHON) -B tools/fuzz.py --minutes $(MINUTES) --jobs $(JOBS) $(FUZZ)

# Of their corpora, and of what `make fuzz` has found.
fuzz-coverage: deps-fuzz
	cmake --preset fuzz-coverage
	cmake --build --preset fuzz-coverage -j $(JOBS)
	$(PYTHON) -B tools/fuzz.py --coverage --build build/fuzz-coverage --jobs $(JOBS) $(FUZZ)

# The packages, from this tree, in build/dist. RELEASE=trixie: for that release of Debian, made in a root of it, in build/dist-trixie.
ifdef RELEASE
dist: deps-run
	$(AS_ROOT) env JOBS=$(JOBS) packaging/dist_in_root.sh $(RELEASE) build/dist-$(RELEASE) build/dist-roots
else
dist: python usermode deps-dist
	cmake --build --preset release -j $(JOBS) --target library
	rm -rf build/dist && mkdir -p build/dist
	packaging/make_deb.sh build build/dist
	packaging/make_python_dist.sh build build/dist
endif

# Installs each in a Debian that has never seen the sources, and boots a guest there as an ordinary user. RELEASE as for dist.
dist-check: dist deps-run deps-dist
	lintian --fail-on error build/dist$(RELEASE:%=-%)/*.deb
	$(AS_ROOT) env PYRO_DIST_CCACHE="$$(ccache -k cache_dir)" \
	  packaging/dist_check.sh $(RELEASE:%=-r %) build/dist$(RELEASE:%=-%) build/dist-check

# Of what has threads: supervisor, agent, engine, MCP server, proxy, network relay and the Python module.
tsan: deps-check
	cmake --preset tsan
	cmake --build --preset tsan -j $(JOBS) --target guestless _pyro
	tools/tsan.sh build/tsan

# SOAK holds further options of tests/soak/soak.py.
soak: MINUTES = 30
soak: deps-check usermode
	cmake --preset release -DPYRO_TESTS=ON
	cmake --build --preset release -j $(JOBS) --target programs pyro-supervisor-stepped _pyro
	tools/pull_test_environments.sh build/bin/pyro $(PYRO_TEST_CACHE)
	$(PYTHON) -B tests/soak/soak.py --minutes $(MINUTES) --tasks $(or $(TASKS),30) $(SOAK)

# KVM holds options of tests/kvm/kvm_check.py, and names of its steps.
kvm-check: build deps-run deps-kvm
	tools/pull_test_environments.sh build/bin/pyro $(PYRO_TEST_CACHE)
	$(AS_ROOT) $(PYTHON) -B tests/kvm/kvm_check.py --cache $(PYRO_TEST_CACHE) $(KVM)

lint: deps-check
	cmake --preset release -DPYRO_TESTS=ON
	cmake --build --preset release -j $(JOBS) --target compile_commands pyro_build_id_source
	$(if $(call has_14,tidy),tools/lint.py build --jobs $(JOBS),@echo "lint: this system has no clang-tidy 14: the linter is left out")

# The programs, and the library with its headers.
install: build
	cmake --build --preset release -j $(JOBS) --target library
	for component in Unspecified library development usermode; do \
	  cmake --install build --prefix "$(PREFIX)" $(if $(DESTDIR),--strip) --component $$component || exit 1; done

format:
	clang-format-14 -i $(SOURCES)

clean:
	rm -rf build
