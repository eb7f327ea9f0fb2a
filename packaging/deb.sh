#!/bin/sh
# Make the Debian packages of packaging/debian/control from the tree: deb.sh BUILD
#
#   BUILD/packages/*.deb        what comes of it; BUILD is the directory it is compiled in, and kept for the next time
#   BUILD/packages/debug/*.deb  debug symbols of them, NAME-dbgsym
# Compiled with CMAKE_FLAGS, by JOBS (2) compilers at a time.
# The version is the header's. DEBFULLNAME and DEBEMAIL, as Debian's own tools have it, name who packages. With
# SOURCE_DATE_EPOCH set, else the time of the commit, packages of the same tree are the same bytes. No root needed.
set -eu
cd "${0%/*}/.."
source=$PWD build=$1
umask 022

fail() {
    echo "deb.sh: $1" >&2
    exit 1
}

for tool in cmake dpkg-deb dpkg-shlibdeps dpkg-gencontrol strip objcopy readelf gzip; do
    command -v $tool >/dev/null || fail "$tool not found; needed is Debian or a kin of it, with dpkg-dev and binutils"
done
version=$(sed -n 's/^#define LJINSPECT_VERSION "\(.*\)"/\1/p' include/ljinspect.h)
series=$(echo "$version" | sed 's/\.[^.]*$//')
next=${series%.*}.$((${series#*.} + 1))
soversion=${version%%.*}
maintainer="${DEBFULLNAME:-ljinspect authors} <${DEBEMAIL:-ljinspect@packages.invalid}>"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
export SOURCE_DATE_EPOCH

# ---- Compile ----

# Debug information names the directories, and the build id is made of all there is: so these are the same wherever the tree lies.
here="-ffile-prefix-map=$source=. -ffile-prefix-map=$build=./build"
# shellcheck disable=SC2086
LDFLAGS="${LDFLAGS:-} -Wl,-z,relro -Wl,-z,now -Wl,--build-id" \
    cmake --preset release -B "$build" --log-level=WARNING -DCMAKE_INSTALL_PREFIX=/usr \
    -DCMAKE_C_FLAGS="${CFLAGS:-} -g $here" ${CMAKE_FLAGS:-} >/dev/null
cmake --build "$build" --parallel "${JOBS:-2}" >"$build/log" 2>&1 || {
    cat "$build/log"
    fail "the build failed"
}

# ---- Lay out as Debian's tools expect it: debian/PACKAGE ----

cd "$build"
rm -rf packages && mkdir -p packages/debian && cd packages
sed "s/@MAINTAINER@/$maintainer/" "$source/packaging/debian/control" >debian/control
cat >debian/changelog <<END
ljinspect ($version-1) unstable; urgency=medium

  * Packaged from the tree. What is new in it: changelog.gz.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

# debug_symbols NAME: the package NAME-dbgsym, as Debian's tools make it, of the programs and libraries in debian/binaries
debug_symbols() {
    symbols=debian/$1-dbgsym ids=
    rm -rf "$symbols"
    while read -r file; do
        id=$(readelf -n "$file" | sed -n 's/^ *Build ID: //p')
        [ -n "$id" ] || fail "$file has no build id"
        to=$symbols/usr/lib/debug/.build-id/$(echo "$id" | cut -c 1-2)
        mkdir -p "$to"
        objcopy --only-keep-debug --compress-debug-sections "$file" "$to/$(echo "$id" | cut -c 3-).debug"
        ids="$ids $id"
    done <debian/binaries
    find "$symbols" -type f -exec chmod 644 {} +
    mkdir -p "$symbols/DEBIAN" "$symbols/usr/share/doc"
    ln -s "$1" "$symbols/usr/share/doc/$1-dbgsym"
    (cd "$symbols" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    echo shlibs:Depends= >debian/no.substvars
    dpkg-gencontrol -p"$1" -P"$symbols" -Tdebian/no.substvars -fdebian/files -UPre-Depends -URecommends -USuggests -UEnhances -UMulti-Arch \
        -DPackage="$1-dbgsym" -DSection=debug -DAuto-Built-Package=debug-symbols -DDepends="$1 (= \${binary:Version})" \
        -DDescription="debug symbols for $1" -DBuild-Ids="${ids# }"
    find "$symbols" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    mkdir -p debug
    dpkg-deb --root-owner-group --build "$symbols" debug >/dev/null
}

# package NAME COMPONENT
package() {
    name=$1 root=debian/$1 doc=debian/$1/usr/share/doc/$1
    DESTDIR=$PWD/$root cmake --install .. --component "$2" >/dev/null
    mkdir -p "$root/DEBIAN" "$doc"
    # Debian's zsh looks elsewhere below /usr than one below /usr/local.
    if [ -d "$root/usr/share/zsh/site-functions" ]; then
        mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
    fi
    if [ -d "$root/usr/share/man" ]; then find "$root/usr/share/man" -type f -exec gzip -9n {} +; fi
    cp "$source/packaging/debian/copyright" "$doc/copyright"
    gzip -9nc "$source/CHANGELOG.md" >"$doc/changelog.gz"
    gzip -9nc debian/changelog >"$doc/changelog.Debian.gz"
    if [ -e "$source/packaging/debian/$name.lintian-overrides" ]; then
        mkdir -p "$root/usr/share/lintian/overrides"
        cp "$source/packaging/debian/$name.lintian-overrides" "$root/usr/share/lintian/overrides/$name"
    fi
    # Programs and shared libraries; a static library keeps its symbols. A link is another package's file, or a second name.
    find "$root" -type f \( -name '*.so.*' -o -name '*.so' -o -path '*/bin/*' \) >debian/binaries
    : >"debian/$name.substvars"
    if [ -s debian/binaries ]; then
        debug_symbols "$name"
        xargs strip --strip-unneeded --remove-section=.comment --remove-section=.note <debian/binaries
        # Not of symbols in none of the libraries: LuaJIT is the host's.
        xargs dpkg-shlibdeps --warnings=6 "-Tdebian/$name.substvars" <debian/binaries
    fi
    find "$root" -type f -name '*.a' -exec strip --strip-debug --enable-deterministic-archives {} +
    find "$root/usr" -type f ! -path '*/bin/*' -exec chmod 644 {} +
    if [ "$name" = libljinspect0 ]; then
        # As the CMake package has it: a version 0.x may break what 0.(x-1) promised.
        echo "libljinspect $soversion $name (>= $series), $name (<< $next~)" >"$root/DEBIAN/shlibs"
    fi
    if grep -q '/lib/.*\.so' debian/binaries; then echo "activate-noawait ldconfig" >"$root/DEBIAN/triggers"; fi
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-gencontrol -p"$name" -P"$root" "-Tdebian/$name.substvars" -fdebian/files
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group --build "$root" . >/dev/null
}

[ "$soversion" = 0 ] || fail "packaging/debian/control is for libljinspect.so.0"
package libljinspect0 ljinspect_library
package libljinspect-dev ljinspect_development
package lua-ljinspect ljinspect_module
package ljinspect ljinspect_command
rm -rf debian
for file in *.deb; do
    echo "$build/packages/$file"
done
