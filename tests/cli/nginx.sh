#!/bin/bash
# ljinspect on an nginx worker, whose LuaJIT is a shared library and whose Lua code runs in coroutines that C resumes.
. "$(dirname "$0")/lib.sh"

debs=${LJINSPECT_DEBS:?}
for dir in "$debs"/usr/lib/*-linux-gnu*; do export LD_LIBRARY_PATH=$dir; done
cat >"$work/nginx.conf" <<END
load_module $debs/usr/lib/nginx/modules/ndk_http_module.so;
load_module $debs/usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
worker_processes 1;
pid $work/pid;
error_log $work/error.log;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
events {}
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    lua_package_path "$debs/usr/share/lua/5.1/?.lua;;";
    server {
        listen unix:$work/socket;
        location / { content_by_lua_file $here/handler.lua; }
    }
}
END
"$debs/usr/sbin/nginx" -p "$work/" -c "$work/nginx.conf" -e "$work/error.log" 2>"$work/err" &
master=$!
started+=("$master")
get() { curl -s --max-time 20 --unix-socket "$work/socket" "http://localhost/$1"; }
for i in $(seq 100); do
    [ "$(get ?do=hello)" = hello ] && break
    sleep 0.1
done
check "nginx answers" same hello "$(get ?do=hello)"
worker=$(pgrep -P $master)
started+=("$worker")

check "an idle worker" eval 'status 0 "$ljinspect" stack "$worker" && contains "$output" "runs: idle"'
check "ps lists it" eval 'status 0 "$ljinspect" ps && contains "$output" "$worker "'

get "?do=spin" >/dev/null &
started+=($!)
sleep 0.5
output=$("$ljinspect" stack "$worker" 2>&1)
check "a request that hangs the worker: the function" contains "$output" "handler.lua:9: in function 'spin'"
check "its caller" contains "$output" "handler.lua:28: in main chunk"
for i in $(seq 100); do
    [ "$(get ?do=hello)" = hello ] && break
    sleep 0.1
done

get "?do=sleep" >/dev/null &
started+=($!)
sleep 0.3
output=$("$ljinspect" stack --all --locals "$worker" 2>&1)
check "a request that waits: its coroutine is suspended" contains "$output" "(suspended):"
check "where it waits" contains "$output" "handler.lua:15: in function 'nap'"
check "and for how long" contains "$output" "seconds = 2"

(for i in $(seq 200); do get "?do=work"; done >"$work/answers") &
started+=($!)
"$ljinspect" record -d 3 -F 500 -o "$work/nginx.folded" "$worker" 2>"$work/said"
bad=0
for i in $(seq 5); do "$ljinspect" gc --stop "$worker" >"$work/heap" 2>"$work/said" || bad=$((bad + 1)); done
check "the heap is shown while it works" same 0 "$bad"
check "with what holds things" grep -q "package.loaded" "$work/heap"
check "requests are recorded" test -s "$work/nginx.folded"
output=$("$ljinspect" report "$work/nginx.folded")
check "with the function that takes the time" contains "$output" "work@"
wait $!
check "every answer was right" same "$(printf '%s' "$(for i in $(seq 200); do printf 499999500000; done)")" "$(cat "$work/answers")"
check "the log has no errors" eval '! grep -vE "signal process started|\[notice\]" "$work/error.log"'
finished
