#!/bin/sh
# Unpack Debian's arm64 packages that a cross build for arm64 needs: fetch-arm64.sh [DIRECTORY [vm]]
#
#   DIRECTORY/root     Debian's luajit, its library and headers, cmocka, libbpf and zlib, and the C library to run programs
#                      with
#   DIRECTORY/luajit2  OpenResty's luajit2, laid out as in what fetch-debs.sh unpacks
#   DIRECTORY/vm       with "vm": a kernel and a shell, what tests/cli/vm.sh starts in an emulator of a whole machine
# Default: build/arm64. The packages come from where the machine's own come from; package lists and cache lie in DIRECTORY,
# too. Nothing on the system changes, root is not needed. When it is all there already, nothing happens.
set -eu
cd "${0%/*}/.."
arm64=${1:-build/arm64}
system=${2:-}
root="luajit libluajit-5.1-2 libluajit-5.1-dev libcmocka0 libcmocka-dev libc6 libgcc-s1
    libbpf1 libbpf-dev libelf1 libelf-dev zlib1g zlib1g-dev libc6-dev linux-libc-dev"
luajit2="luajit2 libluajit2-5.1-2 libluajit2-5.1-common"
vm="bash busybox-static libtinfo6 mawk"

fail() {
    echo "fetch-arm64: $1" >&2
    exit 1
}

for tool in apt-get dpkg; do
    command -v $tool >/dev/null || fail "this needs Debian or a kin of it ($tool not found)"
done

mkdir -p "$arm64"
arm64=$(cd "$arm64" && pwd)
exec 9>"$arm64/lock" && flock 9
[ "$(cat "$arm64/done" 2>/dev/null)" != "$root $luajit2" ] && trees="root luajit2" || trees=
[ "$system" != vm ] || [ "$(cat "$arm64/vm/done" 2>/dev/null)" = "$vm" ] || trees="$trees vm"
[ -n "$trees" ] || exit 0

apt=$arm64/apt
rm -rf "$apt" && mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
own() {
    command=$1
    shift
    "$command" -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status="$apt/status" \
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root "$@"
}

echo "Unpacking Debian's arm64 packages into $arm64 (nothing is installed): $trees"
# A source of other packages may not have this architecture and fail; what counts is whether ours come.
own apt-get update || true
case $trees in root*) rm -f "$arm64/done" ;; esac # until all of it is there again
for tree in $trees; do
    case $tree in
    root) packages=$root ;;
    luajit2) packages=$luajit2 ;;
    vm)
        kernel=$(own apt-cache depends linux-image-arm64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
        [ -n "$kernel" ] || fail "no kernel in the package lists"
        packages="$vm $kernel"
        ;;
    esac
    rm -rf "${arm64:?}/$tree" "$apt/files" && mkdir -p "$arm64/$tree" "$apt/files"
    # shellcheck disable=SC2086
    (cd "$apt/files" && own apt-get download $packages) || fail "download failed"
    for file in "$apt"/files/*.deb; do
        dpkg -x "$file" "$arm64/$tree"
    done
done
rm -rf "$apt"
echo "$root $luajit2" >"$arm64/done"
case $trees in *vm) echo "$vm" >"$arm64/vm/done" ;; esac
