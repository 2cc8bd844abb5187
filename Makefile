# SPDX-License-Identifier: Apache-2.0
# Sidestep's build: out of tree (build/), quiet (V=1 shows commands), parallel.

BUILD  ?= build
PREFIX ?= /usr/local
DESTDIR ?=

CC     ?= cc
CLANG  ?= clang
# bpftool lives in sbin, which not every user has in the path
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config

VERSION := $(shell cat VERSION)
LIBS    := libbpf yaml-0.1 libuv jansson ncursesw
# by the program itself, when it needs them: user/core/library.h
LOADED  := libcurl libmicrohttpd

CSTD     := -std=gnu17
WARN     := -Wall -Wextra -Werror -Wno-missing-field-initializers -Wshadow -Wstrict-prototypes \
            -Wvla
CPPFLAGS := -D_GNU_SOURCE -DSIDESTEP_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD) \
            $(shell $(PKG_CONFIG) --cflags $(LIBS) $(LOADED))
CFLAGS   ?= -O2 -g
LDLIBS   := $(shell $(PKG_CONFIG) --libs $(LIBS))
SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# The kernel half needs no kernel headers of the build machine: UAPI plus
# bpf/lib/kernel.h, the few types it reads, relocated by CO-RE at load.
MULTIARCH := $(shell $(CC) -print-multiarch)
BPF_ARCH  := $(subst x86_64,x86,$(subst aarch64,arm64,$(shell uname -m)))
BPF_FLAGS := -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Werror -Wno-unused-parameter \
             -Wno-missing-field-initializers -D__TARGET_ARCH_$(BPF_ARCH) -Iinclude -Ibpf \
             -I/usr/include/$(MULTIARCH)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
MAKEFLAGS += --no-print-directory
endif

USER_SRC := $(sort $(wildcard user/*.c user/*/*.c))
USER_OBJ := $(USER_SRC:%.c=$(BUILD)/%.o)
# Definitions before declarations: libbpf 1.1's linker needs the maps first. Then the programs that
# not every kernel takes: they are loaded in this order, and those before are loaded in vain.
BPF_FIRST := bpf/maps.bpf.c bpf/splicers.bpf.c
BPF_SRC  := $(BPF_FIRST) $(filter-out $(BPF_FIRST),$(sort $(wildcard bpf/*.bpf.c)))
BPF_OBJ  := $(BPF_SRC:%.c=$(BUILD)/%.o)
SKEL     := $(BUILD)/sidestep.skel.h

# Pure code, and the API server's client: everything that unit tests link, built with sanitizers.
PURE_SRC := $(sort $(wildcard user/core/*.c user/model/*.c user/policy/*.c user/kube/*.c user/source/*.c \
                              user/plan/*.c user/export/*.c user/live/*.c user/cluster/*.c \
                              $(addprefix user/bench/,end.c figures.c measure.c rounds.c) \
                              user/datapath/sizes.c))
PURE_OBJ := $(PURE_SRC:%.c=$(BUILD)/asan/%.o)
UNIT_SRC := $(sort $(wildcard tests/unit/*_test.c))
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)
TOOL_SRC := $(filter-out %.bpf.c,$(sort $(wildcard tests/tools/*.c tests/bench/*.c)))
SEMANTICS := $(BUILD)/tests/semantics/semantics
SEMANTICS_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/semantics/*.c)))
REPORT   := $(BUILD)/tests/bench/report/report
REPORT_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/bench/report/*.c)))
# Who else can judge by policies; cluster writes what they judge as files.
ORACLE_OBJ := $(patsubst %.c,$(BUILD)/asan/%.o,$(filter-out %/main.c,$(sort $(wildcard tests/oracle/*.c))))
CLUSTER  := $(BUILD)/tests/oracle/cluster
CYCLONUS := $(BUILD)/tests/oracle/cyclonus
# To be preloaded, so that the kernel refuses what it seldom does.
FAULTS   := $(patsubst %.c,$(BUILD)/%.so,$(sort $(wildcard tests/faults/*.c)))
TOOL_BIN := $(TOOL_SRC:%.c=$(BUILD)/%) $(SEMANTICS) $(CLUSTER) $(REPORT) $(FAULTS)

# Pure code once more, by the compiler that has libFuzzer.
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*.c))
FUZZ_BIN := $(FUZZ_SRC:%.c=$(BUILD)/%)
FUZZ_OBJ := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out user/plan/% user/export/% user/live/%,$(PURE_SRC)) \
                                             user/export/flowlog.c user/export/json.c)
FUZZ_CC   = $(CLANG) $(CSTD) $(WARN) $(CPPFLAGS) $(SANITIZE)

.PHONY: all install image demo test test-cluster test-kernels test-programs mutants soak fuzz fuzzers unit tools lint \
        format compdb bench verifier clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/sidestep
tools: $(TOOL_BIN)
fuzzers: $(FUZZ_BIN)

# ---- kernel half -----------------------------------------------------------

$(BUILD)/bpf/%.o: bpf/%.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/sidestep.bpf.o: $(BPF_OBJ)
	$(call say,LINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKEL): $(BUILD)/sidestep.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name sidestep_bpf > $@

# ---- userspace -------------------------------------------------------------

# before the first build no .d file knows that the loader includes it
$(filter $(BUILD)/user/datapath/%,$(USER_OBJ)): | $(SKEL)

# the page's parts become part of it
$(BUILD)/user/daemon/web.o: $(wildcard user/web/page.*)

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/sidestep: $(USER_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ $(LDLIBS)

# ---- tests -----------------------------------------------------------------

$(BUILD)/asan/%.o: %.c
	$(call say,CC,"$< (sanitized)")
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(SANITIZE) -MMD -MP -c $< -o $@

$(BUILD)/tests/unit/%: tests/unit/%.c $(PURE_OBJ)
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(SANITIZE) -Itests/unit -Itests -MMD -MP -MF $@.d \
		$(filter %.c %.o,$^) -o $@ -lcmocka $(LDLIBS) -lm

$(BUILD)/tests/unit/policy_oracle_test: $(ORACLE_OBJ) | $(CYCLONUS)

$(BUILD)/asan/tests/%.o: CPPFLAGS += -Itests

$(CLUSTER): $(BUILD)/asan/tests/oracle/main.o $(ORACLE_OBJ) $(PURE_OBJ)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) $^ -o $@ $(LDLIBS)

# Where there is no Go, or its modules cannot be had, the log says so and a test is skipped.
$(CYCLONUS): $(wildcard tests/oracle/cyclonus/*)
	$(call say,GO,$@)
	@mkdir -p $(@D)
	$(Q)cd tests/oracle/cyclonus && go build -buildvcs=false -o $(abspath $@) . \
		>$(abspath $@).log 2>&1 || echo "  not built, see $@.log"

$(BUILD)/tests/tools/%: tests/tools/%.c
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) -D_GNU_SOURCE $(CFLAGS) -Iinclude -MMD -MP -MF $@.d $< -o $@ -lpthread

$(BUILD)/tests/faults/%.so: tests/faults/%.c
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) -D_GNU_SOURCE $(CFLAGS) -shared -fPIC -MMD -MP -MF $@.d $< -o $@

# the one that runs the API server's client
$(BUILD)/tests/tools/apiwatch: tests/tools/apiwatch.c $(PURE_OBJ)
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(SANITIZE) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@ \
		$(LDLIBS) -lm

$(BUILD)/tests/bench/%: tests/bench/%.c
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) -D_GNU_SOURCE $(CFLAGS) -Iinclude -MMD -MP -MF $@.d $< -o $@ -ljansson -lpthread -lm

# the one that makes tables and verdicts of what the others have measured
$(REPORT): $(REPORT_OBJ) $(BUILD)/user/bench/figures.o $(BUILD)/user/bench/machine.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -ljansson -lm

$(BUILD)/tests/bench/report/%.o: tests/bench/report/%.c
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# the one that fills an API server
$(BUILD)/tests/bench/cluster: tests/bench/cluster.c
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $< -o $@ $(LDLIBS) \
		$(shell $(PKG_CONFIG) --libs libcurl) -lpthread

# ... that runs the compiler itself
$(BUILD)/tests/bench/policy: tests/bench/policy.c $(filter $(BUILD)/user/core/% $(BUILD)/user/model/% \
                             $(BUILD)/user/policy/%,$(USER_OBJ))
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@

# ... the one that runs the store of the API server's objects
$(BUILD)/tests/bench/store: tests/bench/store.c $(filter-out $(BUILD)/user/main.o,$(USER_OBJ))
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@ \
		$(LDLIBS) -lpthread

# ... and the one that runs the daemon's reader, on events of a program of its own
$(BUILD)/tests/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/tests/bench/events.skel.h: $(BUILD)/tests/bench/events.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name events_bpf > $@

$(BUILD)/tests/bench/events: tests/bench/events.c $(BUILD)/tests/bench/events.skel.h \
                             $(filter-out $(BUILD)/user/main.o,$(USER_OBJ))
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@ \
		$(LDLIBS) -lpthread

# ... the one that measures sockets as "sidestep bench" does
$(BUILD)/tests/bench/sockets: tests/bench/sockets.c $(filter-out $(BUILD)/user/main.o,$(USER_OBJ))
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@ \
		$(LDLIBS) -lpthread

# ... and the one that changes services
$(BUILD)/tests/bench/changes: tests/bench/changes.c $(filter-out $(BUILD)/user/main.o,$(USER_OBJ))
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@ \
		$(LDLIBS) -lpthread

# ... and the one that changes those of an instance
$(BUILD)/tests/bench/change: tests/bench/change.c $(filter-out $(BUILD)/user/main.o,$(USER_OBJ))
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(filter %.c %.o,$^) -o $@ \
		$(LDLIBS)

$(BUILD)/tests/semantics/%.o: tests/semantics/%.c
	$(call say,TOOL,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(WARN) -D_GNU_SOURCE $(CFLAGS) -MMD -MP -c $< -o $@

$(SEMANTICS): $(SEMANTICS_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@ -luring -lpthread

$(BUILD)/fuzz/%.o: %.c
	$(call say,CC,"$< (for fuzzers)")
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJ)
	$(call say,FUZZER,$<)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer -MMD -MP -MF $@.d $< $(FUZZ_OBJ) -o $@ $(LDLIBS)

unit: $(UNIT_BIN)
	@set -e; for t in $(UNIT_BIN); do $$t; done

test:
	@scripts/test

# Debian's 6.1 and 6.12 in a virtual machine
test-kernels:
	@scripts/test-kernels

# Real servers and clients, with and without the splice.
test-programs:
	@scripts/test-programs

# Each rule of the splice taken out once: a test must fail.
mutants:
	@scripts/mutants

# Mixed traffic and all that may happen to it: make soak MINUTES=5
soak:
	@scripts/soak $(MINUTES)

# What reads files and compiles them, on inputs made up: make fuzz SECONDS=600
fuzz:
	@scripts/fuzz $(if $(SECONDS),-t $(SECONDS))

# A real Kubernetes cluster of two nodes
test-cluster:
	@scripts/test-cluster

# The container image, as an archive
image: all
	@scripts/image

demo:
	@scripts/demo

lint:
	@scripts/lint

bench: all tools
	@scripts/bench

# Instructions the verifier walks through for each program on this kernel.
verifier: all
	@scripts/verifier

format:
	$(Q)clang-format -i $(shell git ls-files '*.c' '*.h')

compdb:
	@scripts/compdb $(BUILD) > compile_commands.json

# ---- install ---------------------------------------------------------------

install: all
	install -D -m 0755 $(BUILD)/sidestep $(DESTDIR)$(PREFIX)/sbin/sidestep
	install -D -m 0644 docs/sidestep.8 $(DESTDIR)$(PREFIX)/share/man/man8/sidestep.8
	install -D -m 0644 deploy/sidestep.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sidestep
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' deploy/sidestep.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/sidestep.service
	install -D -m 0644 deploy/sidestep.yaml $(DESTDIR)$(PREFIX)/share/doc/sidestep/sidestep.yaml
	install -D -m 0644 deploy/policy.yaml $(DESTDIR)$(PREFIX)/share/doc/sidestep/policy.yaml
	install -D -m 0644 deploy/grafana/sidestep.json $(DESTDIR)$(PREFIX)/share/doc/sidestep/grafana/sidestep.json

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
