#!/usr/bin/env bash
# Sets glasshouse up under WSL2 and runs a command with it. See --help.
set -euo pipefail

usage() {
	cat <<'USAGE'
usage: scripts/run-wsl.sh [flags] [-- command [args...]]

For Debian or Ubuntu under WSL2: installs what is missing, mounts tracefs and
debugfs, builds glasshouse and runs the command with it, or demo/sneaky.py if
none is given. The receipt is receipt.json in the working directory.

  --capture-argv         set GLASSHOUSE_CAPTURE_ARGV=1
  --force-capture-argv   set GLASSHOUSE_CAPTURE_ARGV=force: record the arguments
                         of processes under WSL too, where they are left out
                         by default
  -n, --dry-run          print the commands instead of running them
  --anyway               go on outside of WSL
  --help                 this text

Root is needed to install packages, to mount and to observe: sudo is used for
these, and for nothing else. Started by an ordinary user, the command runs as
that user.
USAGE
}

say() { printf 'run-wsl: %s\n' "$1" >&2; }

fail() {
	say "$1"
	[ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
	exit 1
}

dry_run=
anyway=
capture=
while [ $# -gt 0 ]; do
	case $1 in
	--capture-argv) capture=1 ;;
	--force-capture-argv) capture=force ;;
	-n | --dry-run) dry_run=yes ;;
	--anyway) anyway=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	--)
		shift
		[ $# -gt 0 ] || fail "no command after --"
		break
		;;
	*) fail "unknown argument: $1" "scripts/run-wsl.sh --help; a command comes after --" ;;
	esac
	shift
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# -gt 0 ] || set -- python3 "$root/demo/sneaky.py"

run() {
	if [ -n "$dry_run" ]; then
		printf '%q ' "$@"
		printf '\n'
	else
		"$@"
	fi
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		run "$@"
	else
		run sudo "$@"
	fi
}

release=$(cat /proc/sys/kernel/osrelease 2>/dev/null || uname -r)
if [ -z "$anyway" ]; then
	case $release in
	*WSL2* | *microsoft-standard*) ;;
	*Microsoft*) fail "this is WSL 1, which has no Linux kernel to observe" "in Windows: wsl --set-version <distribution> 2" ;;
	*) fail "this is not WSL: the kernel is $release" "on other machines: go run ./cmd/glasshouse run -- command, as root; or --anyway" ;;
	esac
fi
command -v apt-get >/dev/null || fail "apt-get is not there: this script knows Debian and Ubuntu"
if [ "$(id -u)" -ne 0 ] && [ -z "$dry_run" ]; then
	command -v sudo >/dev/null || fail "sudo is not installed" "run this as root"
fi

# Packages. The probes come compiled: clang, llvm and libbpf-dev serve to change
# them (scripts/build-ebpf.sh), bpftool to look at what is loaded.

packages=()
need() { # package, then a test that it is there
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || packages+=("$package")
}
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
need curl command -v curl
need python3 command -v python3
need clang command -v clang
need llvm command -v llvm-strip
need libbpf-dev test -e /usr/include/bpf/bpf_helpers.h
if ! PATH=$PATH:/usr/sbin:/sbin command -v bpftool >/dev/null; then
	# A package of its own on Debian, a part of another on Ubuntu.
	if apt-cache policy bpftool 2>/dev/null | grep -q 'Candidate: [0-9]'; then
		packages+=(bpftool)
	else
		packages+=(linux-tools-common)
	fi
fi
if [ ${#packages[@]} -gt 0 ]; then
	say "installing ${packages[*]}"
	as_root apt-get update -q
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends --no-upgrade "${packages[@]}"
fi

# Go. From 1.21 on it fetches the version that go.mod asks for by itself; what
# distributions ship may be older than that.

can_build() {
	command -v "$1" >/dev/null || return 1
	local version
	version=$(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	[[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 21 ]
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/glasshouse
go=
for candidate in go /usr/local/go/bin/go "$cache/go/bin/go"; do
	if can_build "$candidate"; then
		go=$candidate
		break
	fi
done
if [ -z "$go" ]; then
	version=$(awk '$1 == "go" { print $2 }' "$root/go.mod")
	case $(uname -m) in
	x86_64) arch=amd64 ;;
	aarch64) arch=arm64 ;;
	*) fail "there is no glasshouse for $(uname -m)" ;;
	esac
	archive=go$version.linux-$arch.tar.gz
	say "installing Go $version into $cache/go"
	run mkdir -p "$cache"
	run curl -fsSL -o "$cache/$archive" "https://go.dev/dl/$archive"
	run curl -fsSL -o "$cache/$archive.sha256" "https://dl.google.com/go/$archive.sha256"
	if [ -z "$dry_run" ]; then
		echo "$(cat "$cache/$archive.sha256")  $cache/$archive" | sha256sum --check --quiet ||
			fail "$cache/$archive is damaged" "remove it and try again"
	fi
	run tar -C "$cache" -xzf "$cache/$archive"
	go=$cache/go/bin/go
fi

mount_once() { # type, folder
	if ! awk -v d="$2" '$2 == d { found = 1 } END { exit !found }' /proc/self/mounts; then
		say "mounting $1 on $2"
		as_root mount -t "$1" "$1" "$2"
	fi
}
mount_once debugfs /sys/kernel/debug
mount_once tracefs /sys/kernel/tracing

say "building glasshouse"
run "$go" -C "$root" build -o "$root/glasshouse" ./cmd/glasshouse

flags=()
if [ "$(id -u)" -ne 0 ] || [ -n "${SUDO_UID:-}" ]; then
	flags+=(--user invoking)
fi
variables=()
[ -z "$capture" ] || variables+=("GLASSHOUSE_CAPTURE_ARGV=$capture")
as_root env "${variables[@]}" "$root/glasshouse" run "${flags[@]}" -- "$@"
