# The embedded BPF objects are committed: only "generate" needs clang.

.DEFAULT_GOAL := help
.PHONY: help build test test-microvm test-vm bench generate lint check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Static: in a microVM it is the first process, where no library is. Without the
# tables of debuggers, which a guest would have to unpack as well.
build: ## ./glasshouse
	CGO_ENABLED=0 go build -ldflags='-s -w' -o glasshouse ./cmd/glasshouse

# Results are not cached: many tests ask the kernel, which Go's cache does not know.
# What watches commands is tested once with eBPF and once with ptrace.
started = ^Test(Ctrl|Interrupt|Terminal|OneStream|Quit|Termination|Inherited|ProcessGroup|Recover|Masked)

test: ## all tests that this machine can run; as root those of the probes too
	go test -count=1 $(TESTFLAGS) ./...
	GLASSHOUSE_TEST_OBSERVE=ptrace go test -count=1 $(TESTFLAGS) -skip "$$(cat test/vm/ebpf-alone)" ./test/truth ./test/adversary
	GLASSHOUSE_TEST_OBSERVE=ptrace go test -count=1 $(TESTFLAGS) -run '$(started)' ./cmd/glasshouse

test-microvm: ## commands in microVMs, with an image that this builds
	scripts/test-microvm.sh $(TESTFLAGS)

test-vm: ## the tests of the probes on several kernels, in virtual machines
	@go run ./test/vm -kernels '$(KERNELS)' -suites '$(SUITES)' -run '$(TEST)' -skip '$(SKIP)' $(VMFLAGS)

bench: ## what it costs to be recorded, as a table; takes root, gcc and some minutes
	@go run ./test/bench $(BENCHFLAGS)

generate: ## the BPF objects and the Go code that goes with them, from ebpf/bpf
	scripts/build-ebpf.sh

lint: ## formatting, vet, staticcheck, shellcheck
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted, run gofmt -w: $$files"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	shellcheck .ci/run scripts/*.sh

check: ## all that is checked before a change is taken
	.ci/run

clean: ## remove what was built here
	rm -f glasshouse receipt.json receipt.json.sigstore.json again.json forged.json report.html
	rm -rf ebpf/objects demo/__pycache__
