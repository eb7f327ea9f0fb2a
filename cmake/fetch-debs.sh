#!/bin/sh
# Unpack Debian packages that cannot be installed beside the system's LuaJIT: fetch-debs.sh [DIRECTORY [PACKAGE...]]
#
# OpenResty's luajit2 and Debian's luajit conflict, and nginx's Lua module depends on luajit2. So these, and the other
# programs that are tested, are downloaded and unpacked into DIRECTORY/root (default: build/debs), a tree like that of
# "/". Nothing on the system changes. When it is all there already, nothing happens. Other packages than these can be
# named, without what they depend on.
set -eu
cd "${0%/*}/.."
debs=${1:-build/debs}
packages="luajit2 libluajit2-5.1-2 libluajit2-5.1-common
    nginx nginx-common libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core lua-resty-lrucache lua-cjson
    neovim neovim-runtime libmsgpackc2 libtermkey1 libtree-sitter0 libunibilium4 libvterm0 lua-luv
    wrk"
# What these link and a bare system may lack.
libraries="libpcre3 libpcre2-8-0 libssl3 zlib1g libcrypt1 libuv1"

fail() {
    echo "fetch-debs: $1" >&2
    exit 1
}

for tool in apt-get apt-cache dpkg dpkg-query; do
    command -v $tool >/dev/null || fail "this needs Debian or a kin of it ($tool not found)"
done
[ $# -le 1 ] || { shift && packages=$* libraries=; }
for library in $libraries; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$library" 2>/dev/null)" = installed ] || packages="$packages $library"
done
wanted=$(echo "$packages" | tr -s "\n " " ")

mkdir -p "$debs"
exec 9>"$debs/lock" && flock 9
# Libraries that were installed meanwhile do no harm in the tree: only what is not there counts.
done=" $(cat "$debs/done" 2>/dev/null || true) "
complete=yes
for package in $wanted; do
    case $done in *" $package "*) ;; *) complete=no ;; esac
done
[ $complete = yes ] && exit 0

echo "Unpacking into $debs/root (nothing is installed): $wanted"
[ "$(id -u)" -eq 0 ] && as_root= || as_root=sudo
for package in $wanted; do
    if ! apt-cache show "$package" >/dev/null 2>&1; then
        [ -z "$as_root" ] || command -v sudo >/dev/null || fail "package lists are missing: run apt-get update as root"
        $as_root apt-get -qq update
        break
    fi
done

new=$debs/new
rm -rf "$new" && mkdir -p "$new/root" "$new/files"
# shellcheck disable=SC2086
download() { (cd "$new/files" && apt-get -qq -o APT::Sandbox::User=root download $wanted); }
# The lists may be so old that a file they name is gone.
if ! download; then
    echo "fetch-debs: trying again with new package lists" >&2
    $as_root apt-get -qq update
    download || fail "download failed"
fi
for file in "$new"/files/*.deb; do
    dpkg -x "$file" "$new/root"
done
rm -rf "$debs/root"
mv "$new/root" "$debs/root"
rm -rf "$new"
echo "$wanted" >"$debs/done"
