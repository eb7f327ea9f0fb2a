#!/bin/bash
# Make the Debian packages, and use them unpacked, without another file of ours; where the kernel lets us lay a tree over "/",
# also install them there with apt; nothing on the system changes. deb.sh [lintian]: let lintian look at them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset LUA_PATH LUA_CPATH LD_LIBRARY_PATH
umask 022

step() { echo "-- $*"; }
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

step "make the packages"
# In the directory of `make deb`: who made them has less to wait for, and the test of README too.
build=$LJINSPECT_SOURCE/build-deb
"$LJINSPECT_SOURCE/packaging/deb.sh" "$build"
make -n -C "$LJINSPECT_SOURCE" deb | grep "packaging/deb.sh .*/build-deb\$" >/dev/null || fail "make deb does something else"
packages=$build/packages
version=$(sed -n 's/^#define LJINSPECT_VERSION "\(.*\)"/\1/p' "$LJINSPECT_SOURCE/include/ljinspect.h")
names="libljinspect0 libljinspect-dev lua-ljinspect ljinspect"
with_symbols="libljinspect0 ljinspect"
deb() { echo "$packages/$1_$version-1_$(dpkg --print-architecture).deb"; }

if [ "${1:-}" = lintian ]; then
    # Nothing was ever uploaded; who packages is named by who packages.
    # shellcheck disable=SC2046
    lintian --allow-root --fail-on error,warning \
        --suppress-tags initial-upload-closes-no-bugs,bogus-mail-host \
        $(for n in $names; do deb "$n"; done; for n in $with_symbols; do deb "debug/$n-dbgsym"; done)
    exit
fi

step "each file that is installed is in one package, where it belongs"
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
lib=usr/lib/$triplet
for name in $names; do
    dpkg -x "$(deb "$name")" "$dir/root"
    dpkg-deb --fsys-tarfile "$(deb "$name")" | tar t | sed 's#^\./##' | grep -v -e '/$' -e '^$' | sort >"$dir/$name"
done
has() { # PACKAGE FILE...
    local name=$1 file
    shift
    for file; do grep -qxF "$file" "$dir/$name" || fail "$name has no $file"; done
}
has libljinspect0 "$lib/libljinspect.so.0" "$lib/libljinspect.so.$version"
has libljinspect-dev usr/include/ljinspect.h "$lib/libljinspect.so" "$lib/libljinspect.a" "$lib/pkgconfig/ljinspect.pc" \
    "$lib/cmake/ljinspect/ljinspect-config.cmake" usr/share/man/man3/ljinspect{,_set_hook,_poll}.3.gz
has lua-ljinspect "$lib/lua/5.1/ljinspect.so" usr/share/lua/5.1/{resty,apisix}/inspect{,/dbg}.lua \
    usr/share/man/man3/ljinspect-lua.3.gz usr/share/man/man5/ljinspect-hooks.5.gz usr/share/man/man7/ljinspect-messages.7.gz
has ljinspect usr/bin/ljinspect "$lib/libljinspect-preload.so" usr/share/man/man1/ljinspect.1.gz \
    usr/share/zsh/vendor-completions/_ljinspect
for name in $names; do has "$name" "usr/share/doc/$name/"{copyright,changelog.gz,changelog.Debian.gz}; done
# shellcheck disable=SC2086
(cd "$dir" && cat $names | grep -vE '^usr/share/(doc|lintian)/' |
    sed '/^usr\/share\/man/s/\.gz$//; s#zsh/vendor-completions#zsh/site-functions#' | sort) >"$dir/packaged"
DESTDIR=$dir/all cmake --install "$build" >/dev/null
(cd "$dir/all" && find ./* ! -type d | sed 's#^\./##' | sort) >"$dir/installed"
diff "$dir/installed" "$dir/packaged" || fail "what is installed (<) is not what is packaged (>)"
if grep -rlF -e "$LJINSPECT_SOURCE" -e "$LJINSPECT_BUILD" "$dir/root"; then fail "these name the directory of the build"; fi

step "debug symbols, where debuggers look for them by the build id"
for name in $with_symbols; do
    dpkg -x "$(deb "debug/$name-dbgsym")" "$dir/symbols"
    [ "$(dpkg-deb -f "$(deb "debug/$name-dbgsym")" Depends)" = "$name (= $version-1)" ] || fail "$name-dbgsym goes with another version"
done
for file in "$lib/libljinspect.so.$version" "$lib/libljinspect-preload.so" usr/bin/ljinspect; do
    id=$(readelf -n "$dir/root/$file" | sed -n 's/^ *Build ID: //p')
    symbols=$dir/symbols/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
    readelf -SW "$symbols" 2>/dev/null | grep '\.debug_info' >/dev/null || fail "no debug symbols of $file"
    if readelf -SW "$dir/root/$file" | grep '\.debug_info\|\.symtab' >/dev/null; then fail "$file is not stripped"; fi
done
readelf -sW "$(grep -rl log_message "$dir/symbols")" | grep ' log_message$' >/dev/null || fail "no name of an internal function"

step "what the packages depend on exists, and is no LuaJIT but for -dev"
field() { dpkg-deb -f "$(deb "$1")" "$2"; }
for name in $names; do
    [ "$(field "$name" Version)" = "$version-1" ] || fail "$name has version $(field "$name" Version)"
    for needed in $(field "$name" Depends | sed 's/[,|]/\n/g' | sed 's/(.*//'); do
        case " $names " in *" $needed "*) continue ;; esac
        [ "$name" = libljinspect-dev ] || [ "${needed#*luajit}" = "$needed" ] || fail "$name depends on $needed"
        dpkg -s "$needed" >/dev/null 2>&1 || apt-cache show "$needed" >/dev/null || fail "$name depends on $needed, which is not"
    done
done
field libljinspect0 Depends | grep -q 'libc6 (>=' || fail "libljinspect0 depends on no libc6"
for name in libljinspect-dev lua-ljinspect ljinspect; do
    field "$name" Depends | grep -qF "libljinspect0 (= $version-1)" || fail "$name may come with another libljinspect0"
done
dpkg-deb -I "$(deb libljinspect0)" triggers | grep -qx "activate-noawait ldconfig" || fail "no trigger for ldconfig"
dpkg-deb -I "$(deb libljinspect0)" shlibs | grep -q "^libljinspect 0 libljinspect0 (>= ${version%.*})" || fail "wrong shlibs"

# ---- Unpacked ----

root=$dir/root
export PKG_CONFIG_PATH=$root/$lib/pkgconfig
step "a C host, with pkg-config"
cat >"$dir/host.c" <<'C'
#include <lauxlib.h>
#include <ljinspect.h>
#include <stdio.h>

int main(void) {
    lua_State *L = luaL_newstate();
    printf("%s: %d hooks\n", ljinspect_version(), ljinspect_hooks(L, NULL, NULL));
    lua_close(L);
    return 0;
}
C
# shellcheck disable=SC2046
cc "$dir/host.c" $(pkg-config --cflags --libs ljinspect) -o "$dir/host"
got=$(LD_LIBRARY_PATH=$root/$lib "$dir/host")
[ "$got" = "$version: 0 hooks" ] || fail "it printed '$got'"

step "a C and C++ host, with CMake, shared and static"
cmake -S "$here" -B "$dir/outside" --log-level=WARNING -DCMAKE_PREFIX_PATH="$root/usr" >/dev/null
cmake --build "$dir/outside" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
"$dir/outside/host-shared" "$root/$lib/lua/5.1"
"$dir/outside/host-static"

step "luajit loads the module"
LUA_CPATH="$root/$lib/lua/5.1/?.so" LUA_PATH="$root/usr/share/lua/5.1/?.lua" luajit -e "
    assert(require('ljinspect')._VERSION == '$version')
    assert(require('apisix.inspect.dbg').set_hook and require('resty.inspect').init)"

step "ljinspect run -b"
printf 'local n = 41\nn = n + 1\nprint("the answer is " .. n)\n' >"$dir/app.lua"
"$root/usr/bin/ljinspect" run -b app.lua:3 -- luajit "$dir/app.lua" >"$dir/got" 2>&1 || fail "$(cat "$dir/got")"
for line in "n = 42" "the answer is 42"; do grep -q "$line" "$dir/got" || fail "$(cat "$dir/got")"; done

# ---- Installed, in a tree laid over "/" that only this command and its children see ----

cat >"$dir/inside.sh" <<'SH'
#!/bin/bash
set -euo pipefail
dir=$1
# What else they need is there, as they were built here.
apt-get -qq -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 --no-install-recommends -y install \
    "$dir"/debs/*.deb </dev/null >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
rm -rf "$dir/root"
cd "$dir"
unset PKG_CONFIG_PATH
cc host.c $(pkg-config --cflags --libs ljinspect) -o host && ./host
luajit -e 'require "ljinspect" require "resty.inspect" require "apisix.inspect.dbg"'
ljinspect run -b app.lua:3 -- luajit app.lua >got 2>&1
grep -q "n = 42" got || { cat got; exit 1; }
got=$(LD_PRELOAD=libljinspect-preload.so luajit -e 'print "preloaded by its name"' 2>&1)
echo "$got"
[ "$got" = "preloaded by its name" ]
if [ -x "$LJINSPECT_DEBS/usr/sbin/nginx" ]; then
    for libs in "$LJINSPECT_DEBS"/usr/lib/*-linux-gnu*; do :; done
    modules=$LJINSPECT_DEBS/usr/lib/nginx/modules
    mkdir -p nginx
    cat >nginx.conf <<END
load_module $modules/ndk_http_module.so;
load_module $modules/ngx_http_lua_module.so;
daemon off;
pid $dir/nginx/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path nginx/body; proxy_temp_path nginx/proxy; fastcgi_temp_path nginx/fastcgi;
    uwsgi_temp_path nginx/uwsgi; scgi_temp_path nginx/scgi;
    lua_package_path "$LJINSPECT_DEBS/usr/share/lua/5.1/?.lua;;";
    init_by_lua_block {
        require "ljinspect" require "resty.inspect.dbg"
        io.stdout:write("nginx loads the module\n") io.stdout:flush() os.exit(0)
    }
}
END
    LD_LIBRARY_PATH=$libs timeout 20 "$LJINSPECT_DEBS/usr/sbin/nginx" -p "$dir" -c "$dir/nginx.conf" >nginx.log 2>&1 || true
    grep -x "nginx loads the module" nginx.log || { cat nginx.log; exit 1; }
fi
dpkg --log=/dev/null -P libljinspect-dev lua-ljinspect ljinspect libljinspect0 >log 2>&1 || { cat log; exit 1; }
if ls -d /usr/bin/ljinspect /usr/lib/*/libljinspect* /usr/share/doc/*ljinspect* 2>/dev/null; then
    echo "these are left after a purge"
    exit 1
fi
echo "installed, used, purged"
SH
chmod +x "$dir/inside.sh"
mkdir "$dir/debs" "$dir/over"
for name in $names; do cp "$(deb "$name")" "$dir/debs"; done
step "installed with apt, in a tree over /"
if ! "$here/over.sh" "$dir/over" true; then
    printf '\n*** NOT TESTED: installing with apt. It takes root, and a kernel that lays a tree over /. All else is well.\n\n' >&2
    exit 77 # with LJINSPECT_NO_SKIP, too: no package helps
fi
"$here/over.sh" "$dir/over" "$dir/inside.sh" "$dir"
echo ok
