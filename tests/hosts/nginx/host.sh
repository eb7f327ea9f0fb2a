# What scenarios are written in: sourced by run.sh. One nginx of its own for each scenario, on a socket in a temporary
# directory, and one nginx without ljinspect whose responses are what every response must be equal to.
# shellcheck shell=bash

# shellcheck disable=SC2034,SC2154  # what is set here is used by scenarios and run.sh, and the other way round
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../report.sh
. "$here/../report.sh"

# ---- Finding nginx ----

# Sets nginx (command), load_modules, package_path, package_cpath. False, with $missing saying what, where nginx or its
# Lua module is absent.
find_nginx() {
    local root=${LJINSPECT_DEBS:-} dir
    package_path='' package_cpath='' load_modules='' missing=''
    if [ -n "$root" ]; then
        nginx=$root/usr/sbin/nginx
        package_path="$root/usr/share/lua/5.1/?.lua"
        for dir in "$root"/usr/lib/*/lua/5.1; do package_cpath="$dir/?.so"; done
        for dir in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
            [ -d "$dir" ] && LD_LIBRARY_PATH=$dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        done
        export LD_LIBRARY_PATH
    else
        nginx=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/local/openresty/nginx/sbin command -v nginx ||
            PATH=$PATH:/usr/local/openresty/bin command -v openresty) || nginx=''
    fi
    if [ -z "$nginx" ] || [ ! -x "$nginx" ]; then
        missing="nginx (Debian: apt-get install nginx libnginx-mod-http-lua)"
        return 1
    fi
    # OpenResty has the module built in; Debian loads it.
    if "$nginx" -V 2>&1 | grep -qE 'ngx_lua|lua-nginx-module'; then return 0; fi
    for dir in "$root"/usr/lib/nginx/modules "$root"/usr/share/nginx/modules; do
        [ -e "$dir/ngx_http_lua_module.so" ] || continue
        load_modules="load_module $dir/ngx_http_lua_module.so;"
        [ -e "$dir/ndk_http_module.so" ] && load_modules="load_module $dir/ndk_http_module.so; $load_modules"
        return 0
    done
    missing="the Lua module of $nginx (Debian: apt-get install libnginx-mod-http-lua)"
    return 1
}

# ---- nginx ----

# Set by a scenario before nginx_start, where it wants something else.
defaults() {
    user=root # where it can be chosen
    workers=1
    code_cache=on
    init=''
    # So long a delay that only the system's notification can have told of a change.
    init_worker='require("ljinspect").init(3600, ngx.config.prefix() .. "hooks/hooks.lua")'
    daemon=off
    listen='' # more for the server
    master_process=on
    main=''        # more in nginx.conf, outside of http
    start_with=(env) # what nginx is started with
    expected_errors=()
    todo=''
}

# write_conf PREFIX
write_conf() {
    local conf user_line=''
    [ "$(id -u)" -ne 0 ] || user_line="user $user;"
    conf=$(<"$here/nginx.conf.in")
    conf=${conf//@load_modules@/$load_modules}
    conf=${conf//@user@/$user_line}
    conf=${conf//@workers@/$workers}
    conf=${conf//@daemon@/$daemon}
    conf=${conf//@listen@/$listen}
    conf=${conf//@master_process@/$master_process}
    conf=${conf//@main@/$main}
    conf=${conf//@app@/$here/app}
    conf=${conf//@modules@/$LJINSPECT_SRC/src/lua}
    conf=${conf//@package_path@/$package_path}
    conf=${conf//@build@/$LJINSPECT_BUILD}
    conf=${conf//@package_cpath@/$package_cpath}
    conf=${conf//@code_cache@/$code_cache}
    conf=${conf//@init@/$init}
    conf=${conf//@init_worker@/$init_worker}
    conf=${conf//@prefix@/$1}
    printf '%s\n' "$conf" >"$1/nginx.conf"
}

# launch PREFIX: start nginx there, wait until it serves; its process id is in $launched.
launch() {
    mkdir -p "$1/tmp" "$1/hooks"
    write_conf "$1"
    "${start_with[@]}" "$nginx" -p "$1/" -c "$1/nginx.conf" -e "$1/error.log" >>"$1/stdout" 2>&1 &
    launched=$!
    if [ "$daemon" = on ]; then
        wait "$launched" && await serves "$1" && launched=$(<"$1/nginx.pid")
    else
        await serves_or_ended "$1" && ! exited "$launched"
    fi
}

serves() { curl -s -o /dev/null --unix-socket "$1/http.sock" http://x/ready; }
serves_or_ended() { exited "$launched" || serves "$1"; }

# Stop what launch has started, gracefully; its exit code, where it is a child of ours. Killed where it does not go.
land() { # PID
    local code=0
    kill -QUIT "$1" 2>/dev/null
    if ! await exited "$1"; then
        # shellcheck disable=SC2046  # process ids
        kill -KILL "$1" $(children "$1") 2>/dev/null
        code=137
    elif [ "$daemon" = on ]; then
        return 0
    fi
    wait "$1" 2>/dev/null || code=$?
    return "$code"
}

# For the scenario: start its nginx.
nginx_start() {
    if launch "$prefix"; then
        master=$launched
    else
        not_ok "nginx starts" "$(cat "$prefix/stdout")"
        exit 1
    fi
}

children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }

# The running workers' process ids, one a line.
workers() { children "$master" | tr ' ' '\n' | grep . | sort -n; }

# ---- Requests ----

# request SOCKET PATH: status line, headers but Date, body
request() { curl -s -i --max-time "$deadline_seconds" --unix-socket "$1" "http://x$2" | grep -v '^Date: '; }

# get PATH: ask the scenario's nginx. The response must be byte by byte what nginx without ljinspect says; the body is
# left in $body.
get() {
    local file expected
    file=$plain/responses/$(tr -c 'a-z0-9=\n' _ <<<"$1")
    [ -e "$file" ] || request "$plain/http.sock" "$1" >"$file"
    request "$prefix/http.sock" "$1" >"$prefix/response"
    body=$(sed '1,/^\r$/d' "$prefix/response")
    if [ -s "$file" ] && cmp -s "$file" "$prefix/response"; then
        gets_equal=$((gets_equal + 1))
    else
        expected=$(<"$file")
        not_ok "GET $1 is answered as without ljinspect" "expected: $expected" "got:      $(<"$prefix/response")"
    fi
}

# ask PATH: a route that looks at the worker from inside; the body.
ask() { curl -s --max-time "$deadline_seconds" --unix-socket "$prefix/http.sock" "http://x$1"; }

# get_many PATH FIRST LAST: many requests at the same time, "?n=..." appended; each must be answered as without
# ljinspect but for its number, which PATH's answer to n=0 shows.
get_many() {
    local n template wrong=0
    template=$(curl -s --unix-socket "$plain/http.sock" "http://x$1?n=N")
    rm -f "$prefix"/out.*
    curl -s -Z --parallel-max 50 --max-time 20 --unix-socket "$prefix/http.sock" "http://x$1?n=[$2-$3]" \
        -o "$prefix/out.#1" 2>"$prefix/curl.progress"
    for ((n = $2; n <= $3; n++)); do
        [ "$(<"$prefix/out.$n")" = "${template/N/$n}" ] || wrong=$((wrong + 1))
    done
    is "$(($3 - $2 + 1)) concurrent requests to $1 are answered as without ljinspect" "$wrong wrong" "0 wrong"
}

# ---- The hooks file ----

# at FILE WORD: the line of app/FILE.lua that has the comment "@WORD".
at() { grep -nE -- "@$2( |\$)" "$here/app/$1.lua" | cut -d: -f1; }

# What the library has said about the hooks file so far: one line for each time it dealt with a change.
verdicts() { grep -cE 'ljinspect: hooks file .* (applied:|is gone:|refused:|failed,)' "$log"; }

# write_hooks: standard input becomes the hooks file, in place, as an editor without finesse does it.
write_hooks() {
    verdicts_before=$(verdicts)
    cat >"$hooks"
}

remove_hooks() {
    verdicts_before=$(verdicts)
    rm -f "$hooks"
}

# dealt_with: wait until the last change was dealt with. A worker without requests runs no Lua, so give it something.
dealt_with() {
    if ! await dealt_with_now; then
        not_ok "the change of the hooks file is noticed" "(not within $deadline_seconds seconds)"
    fi
}

dealt_with_now() {
    ask /poke >/dev/null
    [ "$(verdicts)" -gt "$verdicts_before" ]
}

# hooks_are: write_hooks and dealt_with.
hooks_are() {
    write_hooks
    dealt_with
}

no_hooks() {
    remove_hooks
    dealt_with
}

# ---- The log ----

# log_count REGEX: how many lines
log_count() { grep -cE -- "$1" "$log"; }

log_has_now() { [ "$(log_count "$1")" -ge "$2" ]; }

# log_has TEXT REGEX [COUNT]: the log gets that many such lines (1), no more
log_has() {
    local want=${3:-1}
    await log_has_now "$2" "$want"
    is "$1" "$(log_count "$2") in the log" "$want in the log"
}

# log_lacks TEXT REGEX: there is none by now
log_lacks() { is "$1" "$(log_count "$2") in the log" "0 in the log"; }

# expect_error REGEX: a line of level error or above that this scenario provokes
expect_error() { expected_errors+=("$1"); }

# ---- A scenario ----

unexpected_lines() {
    local patterns="$prefix/expected"
    printf '%s\n' "${expected_errors[@]}" '^$' >"$patterns"
    grep -E '\[(error|crit|alert|emerg)\]|exited on signal' "$log" | grep -vE -f "$patterns"
}

# The end of every scenario.
finish() {
    local code=0 bad
    [ "$gets_equal" -eq 0 ] || ok "$gets_equal responses were the same, byte by byte, as without ljinspect"
    land "$master" || code=$?
    master=''
    is "nginx shuts down cleanly" "exit code $code" "exit code 0"
    bad=$(unexpected_lines)
    is "the log has no error but the expected" "$bad" ""
}

# Run one scenario file in a subshell.
run_scenario() { # FILE
    (
        scenario=$(basename "$1" .sh)
        scenario=${scenario#*-}
        prefix=$work/$scenario
        log=$prefix/error.log
        hooks=$prefix/hooks/hooks.lua
        gets_equal=0
        master='' launched=''
        mkdir -p "$prefix/hooks"
        : >"$log"
        defaults
        trap '[ -z "$launched" ] || land "$launched"' EXIT
        trap 'exit 1' INT TERM
        # shellcheck source=/dev/null
        . "$1"
        finish
        launched=''
        exit 0
    ) || { scenario=$(basename "$1" .sh) && report "not ok" "the scenario came to its end"; }
}
