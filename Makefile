# make demo    watch a breakpoint print a live program's locals
# make test    run all tests
# make stress  nginx under load for a minute or two while hooks change
# make soak    nginx and luajit processes for SOAK_SECONDS (3600) while hooks change; ends with a verdict. SOAK_ENGINE=line
# make races   threads, VMs, edits, forks, at random, for RACES_SECONDS (60), with the thread sanitizer; RACES_SEED=...
# make torture run programs with hooks on every line for TORTURE_SECONDS, random things from TORTURE_SEED on
# make manual  the manual as HTML, in build/manual
# make compare what other tools cost beside it: COMPARE=DIRECTORY with their files
# make valgrind all unit and module tests under valgrind; takes most of an hour of one core
# make deb     Debian packages, in build-deb/packages
# make fuzz    run each fuzzer for FUZZ_SECONDS (tests/fuzz)
# All install what is missing first (cmake/install-deps.sh). Everything else is CMake's business: see README.md.

BUILD = build
JOBS = $(shell nproc 2>/dev/null || echo 2)

.PHONY: all demo test manual deb stress soak races torture valgrind fuzz bench compare install-deps clean
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

all:
	@cmake/install-deps.sh demo
	@cmake --preset default -B $(BUILD) --log-level=WARNING $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) --parallel $(JOBS)

demo:
	@cmake/install-deps.sh demo
	@echo "Building in $(BUILD)/ ..."
	@cmake --preset default -B $(BUILD) --log-level=WARNING -DLJINSPECT_TESTS=OFF $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) --parallel $(JOBS) >$(BUILD)/demo-build.log 2>&1 || { cat $(BUILD)/demo-build.log; exit 1; }
	@LJINSPECT_BUILD=$(CURDIR)/$(BUILD) examples/plain-lua/demo.sh

test:
	@cmake/install-deps.sh test
	@cmake/fetch-debs.sh build/debs || echo "Tests with luajit2 and nginx will be skipped."
	@tests/torture/fetch.sh || echo "The torture of programs from Debian will be skipped."
	@cmake --preset default -B $(BUILD) --log-level=WARNING -DLJINSPECT_TESTS=ON $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) --parallel $(JOBS)
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error --parallel $(JOBS)

manual:
	@cmake/install-deps.sh manual
	@cmake --preset default -B $(BUILD) --log-level=WARNING $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) --target manual >$(BUILD)/manual.log 2>&1 || { cat $(BUILD)/manual.log; exit 1; }
	@echo "The manual: $(BUILD)/manual/index.html"

deb:
	@cmake/install-deps.sh deb
	@JOBS=$(JOBS) CMAKE_FLAGS="$(CMAKE_FLAGS)" packaging/deb.sh $(CURDIR)/build-deb

TORTURE_SECONDS = 1800
TORTURE_SEED = $(shell date +%s)
torture:
	@cmake/install-deps.sh test
	@cmake/fetch-debs.sh build/debs
	@tests/torture/fetch.sh
	@cmake --preset default -B $(BUILD) --log-level=WARNING -DLJINSPECT_TESTS=ON $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) --parallel $(JOBS) --target torture >/dev/null
	@tests/torture/long.sh "tests/run.sh $(CURDIR) $(CURDIR)/$(BUILD) $(CURDIR)/build/debs/root sanitize=" \
		$(TORTURE_SECONDS) $(TORTURE_SEED) $(BUILD)/tests/torture

# A build of its own, where tests may take their time. VALGRIND: a regular expression for names of tests.
VALGRIND = .
valgrind:
	@cmake/install-deps.sh valgrind
	@cmake/fetch-debs.sh build/debs || echo "Tests with luajit2 will be skipped."
	@cmake --preset default -B build-valgrind --log-level=WARNING -DLJINSPECT_TEST_SECONDS=3000 $(CMAKE_FLAGS) >/dev/null
	@cmake --build build-valgrind --parallel $(JOBS) >/dev/null
	@LJINSPECT_VALGRIND=1 ctest --test-dir build-valgrind --output-on-failure --no-tests=error -j $(JOBS) -L 'unit|module' -R '$(VALGRIND)'

FUZZ_SECONDS = 60
fuzz:
	@cmake/install-deps.sh fuzz
	@cmake --preset fuzz --log-level=WARNING >/dev/null
	@cmake --build --preset fuzz --parallel $(JOBS) >/dev/null
	@tests/fuzz/run.sh build-fuzz/tests/fuzz $(FUZZ_SECONDS) $(FUZZ)

# Speed with and without hooks, under the system's LuaJIT; ENGINE=line measures that engine.
BENCH = LJINSPECT_ENGINE=$(ENGINE) tests/run.sh $(CURDIR) $(CURDIR)/$(BUILD) $(CURDIR)/build/debs/root sanitize= luajit
bench: all
	@cmake --build $(BUILD) --parallel $(JOBS) --target bench_hits >/dev/null
	@$(BENCH) luajit tests/bench/run.lua
	@$(BENCH) $(BUILD)/tests/bench_hits
	@cmake --build $(BUILD) --parallel $(JOBS) --target bench_logpoints >/dev/null
	@$(BENCH) $(BUILD)/tests/bench_logpoints
	@$(BENCH) luajit tests/bench/arming.lua
	@if cmake --build $(BUILD) --target help | grep -w bench_opening >/dev/null; then \
	    cmake --build $(BUILD) --parallel $(JOBS) --target bench_opening >/dev/null && $(BENCH) $(BUILD)/tests/bench_opening; \
	else echo "How long opening the trap engine takes: not measured, this build has none."; fi
	@$(BENCH) luajit tests/bench/change.lua
	@LJINSPECT_BUILD=$(BUILD) tests/bench/record.sh 5

# What others cost, on the same loop; COMPARE is a directory with their files (tests/bench/compare.sh).
COMPARE = build/compare
compare: all
	@$(BENCH) tests/bench/compare.sh $(COMPARE)

# nginx at full load for a minute while its hooks change, with each engine.
STRESS = LJINSPECT_STRESS_SECONDS=60 tests/run.sh $(CURDIR) $(CURDIR)/$(BUILD) $(CURDIR)/build/debs/root sanitize= debs
stress: all
	@cmake/fetch-debs.sh build/debs
	@LJINSPECT_ENGINE=line $(STRESS) tests/hosts/stress/run.sh
	@LJINSPECT_ENGINE=trap $(STRESS) tests/hosts/stress/run.sh

# It keeps what it measured in build/soak; an interrupt ends it with a verdict on what there is.
SOAK_SECONDS = 3600
SOAK_ENGINE = trap
soak: all
	@cmake/fetch-debs.sh build/debs
	@LJINSPECT_ENGINE=$(SOAK_ENGINE) tests/run.sh $(CURDIR) $(CURDIR)/$(BUILD) $(CURDIR)/build/debs/root sanitize= debs \
		tests/soak/run.sh $(SOAK_SECONDS) $(BUILD)/soak

RACES_SECONDS = 60
RACES_SEED = $(shell date +%s)
races:
	@cmake/install-deps.sh test
	@cmake --preset tsan --log-level=WARNING >/dev/null
	@cmake --build --preset tsan --parallel $(JOBS) --target races >/dev/null
	@tests/run.sh $(CURDIR) $(CURDIR)/build-tsan $(CURDIR)/build/debs/root sanitize=thread luajit build-tsan/tests/races \
		--seed $(RACES_SEED) --seconds $(RACES_SECONDS)

install-deps:
	@cmake/install-deps.sh test
	@cmake/fetch-debs.sh build/debs
	@tests/torture/fetch.sh

clean:
	rm -rf build build-clang build-asan build-tsan build-fuzz build-release build-openresty build-deb build-valgrind
