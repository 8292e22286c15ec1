package ebpf

// The objects are committed, so that a build needs no clang; scripts/build-ebpf.sh
// makes them, and with --check compares them with the sources.
//
//go:generate go tool bpf2go -target amd64,arm64 -tags linux -no-global-types -cflags "-O2 -g -Wall -Werror -mcpu=v3" probes bpf/probes.bpf.c
