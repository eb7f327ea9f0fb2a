# The master is root, the worker is nobody: a hooks file is as good when it is root's or nobody's, anybody else's is
# refused.
if [ "$(id -u)" -ne 0 ]; then
    skip "other users' files" "not run by root"
    nginx_start
    return
fi
if ! setpriv --reuid nobody --clear-groups test -r "$here/app/shop.lua" -a -r "$LJINSPECT_BUILD/lua/ljinspect.so" \
    -a -r "$nginx" 2>/dev/null; then
    skip "other users' files" "the files of this test are not for nobody to read"
    nginx_start
    return
fi
user="nobody nogroup"
chmod 711 "$work"
nginx_start
expect_error "ljinspect: hooks file $hooks refused"
one_hook() { # NAME OWNER
    verdicts_before=$(verdicts)
    cat >"$prefix/new.lua" <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, ".")
    return false
end)
LUA
    chown "$2" "$prefix/new.lua"
    mv "$prefix/new.lua" "$hooks"
    dealt_with
}
one_hook of_root root
get "/greet?name=ann"
log_has "root's file" "of_root ann\."
one_hook of_nobody nobody
get "/greet?name=ann"
log_has "the worker's own file" "of_nobody ann\."
one_hook of_another 12345
get "/greet?name=bob"
log_has "another user's file is refused" \
    "\[error\].*ljinspect: hooks file $hooks refused: file $hooks is owned by user 12345"
log_lacks "it does not run" "of_another bob\."
log_has "the hooks in force stay" "of_nobody bob\."
