#!/usr/bin/env bash
# Tests with real microVMs: builds an image with Debian's cloud kernel and a root
# that debootstrap makes, both kept in .cache, and runs test/microvm and the demo
# in it. Arguments are for go test. Takes root, debootstrap and QEMU.
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
GLASSHOUSE_TEST_IMAGE=$cache/image go test -count=1 -timeout 30m "$@" ./test/microvm
