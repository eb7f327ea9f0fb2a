# make demo    watch a breakpoint print a live program's locals
# make test    run all tests
# Both install what is missing first (cmake/install-deps.sh). Everything else is CMake's business: see README.md.

BUILD = build
JOBS = $(shell nproc 2>/dev/null || echo 2)

.PHONY: all demo test bench install-deps clean
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
	@cmake --preset default -B $(BUILD) --log-level=WARNING -DLJINSPECT_TESTS=ON $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) --parallel $(JOBS)
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error

# Speed with and without hooks, under the system's LuaJIT; ENGINE=line measures that engine.
BENCH = LJINSPECT_ENGINE=$(ENGINE) tests/run.sh $(CURDIR) $(CURDIR)/$(BUILD) $(CURDIR)/build/debs/root sanitize= luajit
bench: all
	@cmake --build $(BUILD) --parallel $(JOBS) --target bench_hits >/dev/null
	@$(BENCH) luajit tests/bench/run.lua
	@$(BENCH) $(BUILD)/tests/bench_hits
	@$(BENCH) luajit tests/bench/arming.lua
	@if cmake --build $(BUILD) --target help | grep -qw bench_opening; then \
	    cmake --build $(BUILD) --parallel $(JOBS) --target bench_opening >/dev/null && $(BENCH) $(BUILD)/tests/bench_opening; \
	else echo "How long opening the trap engine takes: not measured, this build has none."; fi
	@$(BENCH) luajit tests/bench/change.lua

install-deps:
	@cmake/install-deps.sh test
	@cmake/fetch-debs.sh build/debs

clean:
	rm -rf build build-clang build-asan build-tsan build-release
