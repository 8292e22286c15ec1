#!/usr/bin/env bash
# Builds the BPF objects from ebpf/bpf with clang. See --help.
set -euo pipefail

usage() {
	cat <<'USAGE'
usage: scripts/build-ebpf.sh [--check]

Compiles ebpf/bpf/*.bpf.c for amd64 and arm64, with bpf2go as go.mod pins it:
the objects that glasshouse embeds, the Go code that goes with them, and a copy
of the objects in ebpf/objects for GLASSHOUSE_BPF_DIR.

  --check   build into a temporary folder and compare with the committed files,
            byte for byte; the working tree is not changed
  --help    this text

Needs Go, clang 14 or newer, llvm-strip and the headers of libbpf. The committed
files are made with clang 14, as Debian 12 has it: another version makes working
objects of other bytes, so --check wants that version.

Environment: CLANG and LLVM_STRIP name other binaries (clang-14, llvm-strip-14).
USAGE
}

# The clang that makes the committed files.
readonly committed_clang=14

fail() {
	printf 'build-ebpf: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
	exit 1
}

check=
while [ $# -gt 0 ]; do
	case $1 in
	--check) check=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*) fail "unknown argument: $1" "scripts/build-ebpf.sh --help" ;;
	esac
	shift
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
clang=${CLANG:-clang}
strip=${LLVM_STRIP:-llvm-strip}
readonly apt_line='on Debian and Ubuntu: apt-get install clang llvm libbpf-dev'

command -v go >/dev/null || fail "go is not installed" "https://go.dev/doc/install"
command -v "$clang" >/dev/null || fail "$clang is not installed" "$apt_line"
command -v "$strip" >/dev/null || fail "$strip is not installed" "$apt_line"
echo '#include <bpf/bpf_helpers.h>' | "$clang" -target bpf -E -x c - >/dev/null 2>&1 ||
	fail "$clang does not find the headers of libbpf (bpf/bpf_helpers.h)" "$apt_line"

major=$("$clang" -dumpversion)
major=${major%%.*}
[ "$major" -ge 14 ] || fail "clang $major is too old: 14 is needed" "$apt_line"
if [ "$major" -ne "$committed_clang" ]; then
	[ -z "$check" ] || fail "clang $major cannot be compared: the committed objects are made with clang $committed_clang" \
		"CLANG=clang-$committed_clang LLVM_STRIP=llvm-strip-$committed_clang scripts/build-ebpf.sh --check"
	printf 'build-ebpf: clang %s: do not commit the result, it is made with clang %s\n' "$major" "$committed_clang" >&2
fi

# generated lists what a build makes in the module at $1.
generated() {
	(cd "$1" && find ebpf -maxdepth 1 \( -name '*_bpfel.o' -o -name '*_bpfel.go' \) | LC_ALL=C sort)
}

# build builds in the module at $1.
build() {
	(
		cd "$1"
		BPF2GO_CC=$clang BPF2GO_STRIP=$strip go generate ./ebpf
		mkdir -p ebpf/objects
		cp ebpf/*_bpfel.o ebpf/objects/
	)
	[ -n "$(generated "$1")" ] || fail "go generate ./ebpf made nothing"
}

if [ -z "$check" ]; then
	build "$root"
	generated "$root"
	exit 0
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$root/go.mod" "$root/go.sum" "$tmp/"
cp -R "$root/ebpf" "$tmp/ebpf"
# Nothing that was there before may pass for something built now.
find "$tmp/ebpf" \( -name '*.o' -o -name '*_bpfel.go' \) -delete
build "$tmp" >/dev/null

status=0
while read -r file; do
	if ! cmp -s "$root/$file" "$tmp/$file"; then
		printf 'build-ebpf: %s is not what its source makes\n' "$file" >&2
		status=1
	fi
done < <({
	generated "$root"
	generated "$tmp"
} | LC_ALL=C sort -u)
[ "$status" -eq 0 ] || fail "the committed objects differ from their source" "run scripts/build-ebpf.sh and commit what it makes"
printf 'build-ebpf: %s files are what their source makes\n' "$(generated "$tmp" | wc -l)"
