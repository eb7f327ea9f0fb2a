# A line without code, and a file that is never loaded: the log says it, with the nearest lines.
nginx_start
get "/greet?name=ann"
comment=$(grep -n '^-- Three frames' "$here/app/shop.lua" | cut -d: -f1)
hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $comment, nil, function() return false end)
dbg.set_hook("no-such-file.lua", 1, nil, function() return false end)
LUA
log_has "the line has no code, and these have" "shop.lua#$comment \(no code, nearest lines? [0-9]+"
log_has "the file is not loaded" "no-such-file.lua#1 \(pending\)"
get "/greet?name=bob"
