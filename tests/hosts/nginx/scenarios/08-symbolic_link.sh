# The hooks file is a symbolic link, as somebody keeps several sets of hooks and switches between them.
mkdir -p "$prefix/sets"
set_of_hooks() { # NAME
    cat >"$prefix/sets/$1.lua" <<LUA
local dbg = require "resty.inspect.dbg"
dbg.set_hook("shop.lua", $(at shop greet), nil, function(info)
    ngx.log(ngx.WARN, "$1: ", info.vals.name, ".")
    return false
end)
LUA
}
changing() { verdicts_before=$(verdicts); "$@"; dealt_with; }

set_of_hooks one
set_of_hooks two
nginx_start
changing ln -s "$prefix/sets/one.lua" "$hooks"
get "/greet?name=linked"
log_has "the link's target is applied" "one: linked\."

changing ln -sfn "../sets/two.lua" "$hooks"
get "/greet?name=relinked"
log_has "re-pointed: the other target is" "two: relinked\."
log_lacks "and the first no more" "one: relinked\."

set_of_hooks three
changing mv "$prefix/sets/three.lua" "$prefix/sets/two.lua"
get "/greet?name=replaced"
log_has "the target is replaced by a rename" "three: replaced\."

changing rm "$hooks"
get "/greet?name=unlinked"
log_lacks "the link is removed: nothing is hooked" ": unlinked\."
is "no hook is left" "$(ask /hooks)" ""
like "the target is still there" "$(ls "$prefix/sets")" "two.lua"

changing ln -s "$prefix/sets/one.lua" "$hooks"
changing rm "$prefix/sets/one.lua"
get "/greet?name=dangling"
log_lacks "the target is removed: nothing is hooked" ": dangling\."
