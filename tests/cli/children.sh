#!/bin/bash
# ljinspect record --children: a process, those that it has started, and those that it starts meanwhile, in one profile.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2046,SC2154,SC2206

cd "$work" || exit 1
cat >family.lua <<'END'
local function spin(seconds)
    local finish = os.time() + seconds
    while os.time() < finish do for i = 1, 1e5 do math.abs(i) end end
end
local role, mark = arg[1], arg[2] -- by which the test finds what it has started
local slow = tonumber(os.getenv("LJINSPECT_SLOW") or 1)
if role == "parent" then
    local p = assert(io.popen("luajit " .. arg[0] .. " middle " .. mark))
    local function of_parent() spin(6 * slow) end
    of_parent()
    local q = assert(io.popen("luajit " .. arg[0] .. " younger " .. mark))
    local function of_parent_later() spin(60 * slow) end
    of_parent_later()
elseif role == "middle" then
    local function of_middle() spin(60 * slow) end
    of_middle()
elseif role == "younger" then
    local function of_younger() spin(60 * slow) end
    of_younger()
end
END
start luajit family.lua parent "$work"
sleep $slow
check "a process and its children are recorded" status 0 "$ljinspect" record --children -d $((8 * slow)) -o "$work/all.folded" -o "$work/all.html" "$pid"
stacks=$(cat "$work/all.folded")
for name in of_parent of_middle of_parent_later of_younger; do
    check "$name is there" contains "$stacks" "$name@family.lua"
done
check "processes are counted" contains "$output" "processes, of which"
check "nothing of ours is left" eval '! processes "ljinspect record --children"'
check "it is one profile" contains "$(cat "$work/all.html")" "and its children"

check "the children alone, where the process has no LuaJIT" eval '
    bash -c "luajit family.lua middle \"$work\"; :" & outer=$!
    started+=($outer)
    sleep $slow
    status 0 "$ljinspect" record --children -b ptrace -d $slow -o "$work/inner.folded" $outer'
check "are shown" contains "$(cat "$work/inner.folded")" "of_middle@family.lua"
kill -KILL $(children "$outer")

# The kernel lists children by the thread that has started them, and not every kernel does.
if command -v cc >/dev/null; then
    cat >thread.c <<'END'
#include <pthread.h>
#include <unistd.h>
static char **words;
static void *start(void *unused) {
    if (fork() == 0) _exit(execvp(words[1], words + 1));
    return pause(), unused;
}
int main(int argc, char **argv) {
    pthread_t thread;
    words = argv;
    pthread_create(&thread, NULL, start, NULL);
    return argc + pause();
}
END
    printf '%s\n' '#define _GNU_SOURCE' '#include <dlfcn.h>' '#include <stdio.h>' '#include <string.h>' \
        'FILE *fopen(const char *p, const char *m) {' \
        '  FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");' \
        '  return strstr(p, "/children") != NULL ? NULL : next(p, m); }' >no_lists.c
    check "a child of another thread" eval 'cc -pthread thread.c -o thread && cc -shared -fPIC no_lists.c -o no_lists.so &&
        { ./thread luajit family.lua middle "$work" & outer=$!; } && started+=($outer) && sleep $slow &&
        status 0 "$ljinspect" record --children -b ptrace -d $slow -o "$work/thread.folded" $outer'
    check "is shown" contains "$(cat "$work/thread.folded")" "of_middle@family.lua"
    check "where the kernel has no lists of children" status 0 env LD_PRELOAD="$work/no_lists.so" \
        ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" "$ljinspect" record --children -b ptrace -d $slow -o "$work/no_lists.folded" $outer
    check "is shown, too" contains "$(cat "$work/no_lists.folded")" "of_middle@family.lua"
    kill -KILL $(children "$outer")
else
    echo "NOT TESTED: a child of another thread. Missing: cc"
fi

sleep 60 &
started+=($!)
check "no LuaJIT anywhere" status 5 "$ljinspect" record --children -d 0.2 -o "$work/none" $!
# A child that is a 32-bit program is one without LuaJIT.
printf '%s\n' '.globl _start' '_start: mov $29, %eax' 'int $0x80' 'jmp _start' >narrow.s # pause()
if cc -m32 -nostdlib -static narrow.s -o narrow 2>/dev/null && { timeout 0.2 ./narrow; [ $? -eq 124 ]; }; then
    bash -c "luajit family.lua middle \"$work\" & ./narrow & wait" & outer=$!
    started+=($outer)
    sleep $slow
    check "a 32-bit child" status 0 "$ljinspect" record --children -b ptrace -d $slow -o "$work/narrow.folded" $outer
    check "counts as one without LuaJIT" contains "$output" "3 processes, of which 1 have LuaJIT"
    check "by itself" status 5 "$ljinspect" stack "$(grep -lx narrow $(children "$outer" | sed 's|.*|/proc/&/comm|') | cut -d / -f 3)"
    check "is named" contains "$output" "another kind of processor"
    kill -KILL $(children "$outer")
else
    echo "# no 32-bit program can be built and run here: not tried"
fi
check "no such process" status 3 "$ljinspect" record --children -d 0.2 -o "$work/none" 4194303

"$ljinspect" record --children -o "$work/interrupted.folded" "$pid" 2>"$work/said" &
tool=$!
sleep $slow.5
kill -INT $tool
wait $tool
check "Ctrl-C ends it, and it writes" same 0 $?
check "what it has" contains "$(cat "$work/interrupted.folded")" "family.lua"
kill -KILL $(processes " $work ")
finished
