# Every target is safe to repeat: what is current is not made again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1
export DEBIAN_FRONTEND := noninteractive

AOT_FRAMEWORK := $(shell sed -n 's:.*<CnvmAotFramework>\(.*\)</CnvmAotFramework>.*:\1:p' Directory.Build.props)
BUILD_FILES := api/BuildVersion.targets Directory.Build.props Directory.Packages.props global.json
# $(call sources,folder...): what a program is built from.
sources = $(shell find $(1) -type d \( -name bin -o -name obj \) -prune -o -type f \( -name '*.cs' -o -name '*.csproj' -o -name '*.sh' \) -print)

.PHONY: help deps build images pack test soak fuzz bench boot nested-host fmt clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

deps: ## install the Debian packages that are missing (root or sudo)
	@guest-images/deps.sh

PROGRAMS := cnvm-vmm cnvm cnvm-vhost-user-blk cnvm-vhost-user-fs containerd-shim-cnvm-v2
PAGES := $(PROGRAMS:%=out/share/man/man1/%.1)

build: $(PROGRAMS:%=out/bin/%) $(PAGES) ## publish the NativeAOT programs into out/bin/, their man pages into out/share/man/
	@:

images: deps out/sandbox/cnvm-agent ## guest kernels and images into out/images/
	@guest-images/make-images.sh

pack: ## the library Cnvm.Sandbox and what it needs as NuGet packages into out/packages/
	@rm -rf out/packages
	@dotnet pack api/Cnvm.Sandbox -o out/packages -v q --nologo
	@ls out/packages/*.nupkg >&2

test: ## everything, as continuous integration runs it
	@tests/run.sh

soak: deps build images out/nested-host/cnvm-nested-host ## the long forms of the tests: hours (CNVM_SOAK_SECONDS=3600)
	@rm -rf out/soak
	@CNVM_SOAK=1 CNVM_SOAK_TABLES=$(CURDIR)/out/soak dotnet test tests/Cnvm.Vmm.Tests --nologo --logger 'console;verbosity=detailed'
	@CNVM_SOAK=1 CNVM_SOAK_TABLES=$(CURDIR)/out/soak dotnet test tests/Cnvm.Guest.Tests --nologo --logger 'console;verbosity=detailed'

fuzz: deps ## every randomised test for FUZZ_SECONDS (60), what each has run in all is added up (FUZZ='image queue': those with such names)
	@FUZZ_SECONDS="$(or $(FUZZ_SECONDS),60)" tests/fuzz.sh $(FUZZ)

bench: deps build images ## side by side with QEMU and bare C; one line a figure
	@bench/run.sh

boot: deps build $(if $(filter nested,$(HOST)),out/nested-host/cnvm-nested-host) ## boot Debian on the best host there is (CPUS=1 MEMORY=1024 FRESH= HOST= NETWORK=)
	@CPUS="$(CPUS)" MEMORY="$(MEMORY)" FRESH="$(FRESH)" HOST="$(HOST)" NETWORK="$(NETWORK)" guest-images/boot.sh

nested-host: deps out/nested-host/cnvm-nested-host ## a root shell on a machine with a real /dev/kvm (CPUS=2 MEMORY=2048)
	@guest-images/debian-kernel.sh --nested
	@guest-images/nested-emulator.sh
	@out/nested-host/cnvm-nested-host --cpus "$(or $(CPUS),2)" --memory "$(or $(MEMORY),2048)"

fmt: ## fail when the sources are not formatted
	@dotnet format cnvm.sln --verify-no-changes

clean: ## remove out/ (the cache outside of the checkout stays)
	@rm -rf out

out/bin/%: $(call sources,arch devices virtio vmm api) $(BUILD_FILES)
	@echo "build: publishing $* (NativeAOT, $(AOT_FRAMEWORK))" >&2
	@mkdir -p out/bin out/publish
	@dotnet publish $(wildcard vmm/$* api/$*) -c Release -f $(AOT_FRAMEWORK) -r linux-x64 -o out/publish/$* -v q --nologo >out/publish/$*.log 2>&1 \
	    || { grep -E 'error|warning' out/publish/$*.log | sort -u >&2 || cat out/publish/$*.log >&2; exit 1; }
	@# Symbols lie beside the program, for debuggers.
	@cp -f out/publish/$*/$*.dbg out/bin/ 2>/dev/null || true
	@install -m 755 out/publish/$*/$* $@
	@echo "build: $@, $$(stat -c %s $@) bytes" >&2

$(PAGES): out/share/man/man1/%.1: out/bin/cnvm
	@mkdir -p $(@D)
	@out/bin/cnvm __man $* >$@

out/sandbox/cnvm-agent: $(call sources,guest-images/cnvm-agent api/Cnvm.Ttrpc api/Cnvm.Ttrpc.Generator api/Cnvm.Agent.Protocol vmm/Cnvm.Linux) $(BUILD_FILES)
	@echo "build: publishing the guest agent (NativeAOT, $(AOT_FRAMEWORK), static)" >&2
	@mkdir -p out/sandbox out/publish
	@dotnet publish guest-images/cnvm-agent -c Release -f $(AOT_FRAMEWORK) -r linux-x64 -o out/publish/cnvm-agent -v q --nologo >out/publish/cnvm-agent.log 2>&1 \
	    || { grep -E 'error|warning' out/publish/cnvm-agent.log | sort -u >&2 || cat out/publish/cnvm-agent.log >&2; exit 1; }
	@install -m 755 out/publish/cnvm-agent/cnvm-agent $@
	@echo "build: $@, $$(stat -c %s $@) bytes" >&2

out/nested-host/cnvm-nested-host: $(call sources,tests/Cnvm.NestedHost) $(BUILD_FILES) tests/Directory.Build.props
	@echo "build: nested host" >&2
	@mkdir -p out/nested-host
	@dotnet build tests/Cnvm.NestedHost -c Release -o out/nested-host -v q --nologo >out/nested-host.log 2>&1 \
	    || { cat out/nested-host.log >&2; exit 1; }
	@touch $@
