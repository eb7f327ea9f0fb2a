#!/bin/bash
# The command on arm64 under an arm64 kernel, all of it emulated: vm.sh BUILD [TEST...]
#
#   cmake/fetch-arm64.sh build/arm64 vm && cmake --build build-arm64 && tests/cli/vm.sh build-arm64 stack record.ebpf
#
# TEST is X of tests/cli/X.sh, with Debian's luajit, or X.luajit2, or record.ebpf; default: "known", which samples a program
# whose stacks are known by ptrace and through eBPF, and follows its machine code.
# BUILD is a cross build (preset arm64). Debian's kernel is started by qemu-system-aarch64 (Debian: qemu-system-arm) with a
# file system in memory that has the build, the tests and what they use. This is no part of ctest: it takes minutes, and on a busy
# machine an emulated one may be too slow for tests that wait for something. VM_SECONDS is how long it may take (default: 900, too
# little for all tests), LJINSPECT_SLOW how many times as long as elsewhere some tests record (default: 6).
# Exit status: 0 if all passed.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- known
arm64=$source/build/arm64
for tool in qemu-system-aarch64 cpio gzip; do
    command -v $tool >/dev/null || { echo "vm.sh: $tool not found (Debian: qemu-system-arm, cpio, gzip)" >&2 && exit 1; }
done
[ -e "$arm64/vm/done" ] || { echo "vm.sh: no kernel in $arm64; cmake/fetch-arm64.sh build/arm64 vm unpacks it" >&2 && exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/ljinspect-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
lib=lib/aarch64-linux-gnu
mkdir -p "$root"/{bin,usr/bin,usr/share,proc,sys,dev,tmp,root} "$root/$lib" "$root$build/tests" "$root$source"/{src,tests} "$root$arm64"
cp "$arm64"/vm/bin/{busybox,bash} "$root/bin/"
cp "$arm64/vm/usr/bin/mawk" "$root/usr/bin/awk"
cp -a "$arm64"/root/lib/ld-linux-aarch64.so.1 "$root/lib/"
cp -a "$arm64/root/$lib"/*.so* "$arm64/vm/$lib"/*.so* "$root/$lib/"
cp -a "$arm64/root/usr/$lib"/lib{bpf,elf,luajit}*.so* "$root/$lib/"
cp -L "$arm64/root/usr/bin/luajit" "$root/usr/bin/"
cp -a "$arm64"/luajit2/usr/share/luajit-2.1* "$root/usr/share/"
cp -a "$arm64/luajit2" "$root$arm64/"
cp "$build/ljinspect" "$root$build/"
cp "$build"/tests/{cli_host,cli_pass_on,make_core,fuzz_core,follow_code,odd_cores,letting_go} "$root$build/tests/"
cp -a "$source"/tests/{run.sh,cli} "$root$source/tests/"
cp -a "$source/src/lua" "$root$source/src/"

{
    for name in "$@"; do
        need=luajit
        case $name in *.luajit2) need=luajit2 ;; esac
        name=${name%.luajit2}
        [ "$name" != known ] || { echo "known" && continue; }
        echo "try $name.$need $source/tests/run.sh $source $build $arm64/luajit2 sanitize= $need $source/tests/cli/${name%%.ebpf}.sh $([ "$name" = record.ebpf ] && echo ebpf)"
    done
} >"$root/todo"

cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev && ln -s /proc/self/fd /dev/fd
ip link set lo up
export PATH=/usr/bin:/bin HOME=/root LJINSPECT_SLOW=${LJINSPECT_SLOW:-6}
try() {
    name=\$1
    shift
    echo "==== \$name"
    "\$@"
    echo "==== \$name: exit status \$?, \$(cut -d ' ' -f 1 /proc/uptime) s since the start"
}
known() {
    for options in -joff -jon; do
        luajit \$options $source/tests/cli/known.lua &
        pid=\$!
        sleep 2
        try "following, \$options" $build/tests/follow_code \$pid 300
        for backend in ptrace ebpf; do
            $build/ljinspect record -b \$backend -F 200 -d 10 -o /tmp/folded \$pid 2>&1 | tr '\r' '\n' | tail -n 3
            # However few samples there are, each must be one that can be.
            luajit $source/tests/cli/known_check.lua /tmp/folded >/tmp/checked
            cat /tmp/checked
            try "stacks by \$backend, \$options" grep -q '^# [1-9][0-9]* samples .* 0 of them wrong' /tmp/checked
        done
        kill \$pid
    done
}
uname -sr
. /todo
echo "==== ended"
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/root.gz"

timeout "${VM_SECONDS:-900}" qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on -accel tcg,thread=multi -smp 2 -m 2048 -nic none \
    -nographic -no-reboot -kernel "$arm64"/vm/boot/vmlinuz-* -initrd "$work/root.gz" -append "console=ttyAMA0 quiet" </dev/null |
    sed -u 's|\r||g' | tee "$work/said"
grep -qx "==== ended" "$work/said" || { echo "vm.sh: it did not end" >&2 && exit 1; }
! grep -q "^==== .*: exit status [1-9]" "$work/said"
