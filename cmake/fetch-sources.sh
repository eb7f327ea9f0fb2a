#!/bin/sh
# Unpack the sources of Debian's LuaJITs, to build them otherwise than Debian does: fetch-sources.sh [DIRECTORY]
#
# The source packages luajit and luajit2 go into DIRECTORY/luajit and DIRECTORY/luajit2 (default: build/sources). They
# come from where the machine's binary packages come from: its apt sources are copied with "deb" turned into "deb-src",
# and package lists and cache lie in DIRECTORY, too. Nothing on the system changes, root is not needed. When it is all
# there already, nothing happens.
set -eu
cd "${0%/*}/.."
sources=${1:-build/sources}
packages="luajit luajit2"

fail() {
    echo "fetch-sources: $1" >&2
    exit 1
}

for tool in apt-get dpkg-source; do
    command -v $tool >/dev/null || fail "this needs Debian or a kin of it, and dpkg-dev ($tool not found)"
done

mkdir -p "$sources"
sources=$(cd "$sources" && pwd)
exec 9>"$sources/lock" && flock 9
complete=yes
for package in $packages; do
    [ -e "$sources/$package/done" ] || complete=no
done
[ $complete = yes ] && exit 0

apt=$sources/apt
rm -rf "$apt" && mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/files"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] || continue
    sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" >"$apt/parts/$(basename "$file")"
    case $file in */sources.list) mv "$apt/parts/sources.list" "$apt/parts/main.list" ;; esac
done
for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/parts/$(basename "$file")"
done

own_apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/parts" -o Dir::State::lists="$apt/lists" \
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root "$@"
}

# A source of other packages may have no sources and fail; what counts is whether ours come.
own_apt update || true
for package in $packages; do
    rm -rf "${sources:?}/$package" "$apt/files" && mkdir -p "$apt/files"
    (cd "$apt/files" && own_apt source --download-only "$package") || fail "no source package $package"
    dpkg-source --no-check --no-copy -x "$apt"/files/*.dsc "$sources/$package" >/dev/null || fail "$package: dpkg-source failed"
    touch "$sources/$package/done"
done
rm -rf "$apt"
