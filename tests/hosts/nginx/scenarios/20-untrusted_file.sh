# Who can write the hooks file runs code in the worker: a file, or a directory, that others can write is refused, with
# the reason, until it is put right.
nginx_start
expect_error "ljinspect: hooks file $hooks refused"
line=$(at shop greet)
one_hook() {
    cat <<LUA
require("resty.inspect.dbg").set_hook("shop.lua", $line, nil, function(info)
    ngx.log(ngx.WARN, "$1 ", info.vals.name, ".")
    return false
end)
LUA
}
one_hook trusted | hooks_are

verdicts_before=$(verdicts)
one_hook untrusted >"$prefix/new"
chmod 666 "$prefix/new"
mv "$prefix/new" "$hooks"
dealt_with
log_has "a file that others can write is refused" \
    "\[error\].*ljinspect: hooks file $hooks refused: file $hooks is writable by others"
get "/greet?name=one"
log_lacks "it does not run" "untrusted one\."
log_has "the hooks in force stay" " trusted one\."

verdicts_before=$(verdicts)
chmod 644 "$hooks"
dealt_with
get "/greet?name=two"
log_has "put right: applied without being written again" "untrusted two\."

verdicts_before=$(verdicts)
chmod 777 "$prefix/hooks"
dealt_with
log_has "a directory that others can write is refused as well" \
    "\[error\].*ljinspect: hooks file $hooks refused: directory $prefix/hooks is writable by others"
