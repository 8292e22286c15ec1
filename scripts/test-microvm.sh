#!/usr/bin/env bash
# Tests with real microVMs: builds an image with Debian's cloud kernel and a root
# that debootstrap makes, both kept in .cache, and runs test/microvm with it, which
# prints how long machines take. Arguments are for go test. Without any the
# programs of test/adversary follow, each in a machine of its own. Takes root,
# debootstrap, QEMU and gcc; the whole half an hour, if processors are emulated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly release=bookworm cache=$PWD/.cache/microvm
readonly root=$cache/root-$release

if [ ! -e "$root/etc/debian_version" ]; then
	mkdir -p "$cache"
	rm -rf "$root.new"
	# From where this machine has its own packages.
	# shellcheck disable=SC2016 # apt-get expands these
	mirror=$(apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian|main|//p' | head -n 1)
	debootstrap --variant=minbase --include=python3 "$release" "$root.new" "$mirror" >"$cache/debootstrap.log" ||
		{ tail -n 20 "$cache/debootstrap.log"; exit 1; }
	mv "$root.new" "$root"
fi
make build
./glasshouse image build -o "$cache/image" --rootfs "dir:$root"
export GLASSHOUSE_TEST_IMAGE=$cache/image
if [ $# -gt 0 ]; then
	exec go test -count=1 -timeout 30m "$@" ./test/microvm
fi
go test -v -count=1 -timeout 30m ./test/microvm
GLASSHOUSE_TEST_BACKEND=qemu go test -v -count=1 -timeout 60m ./test/adversary
