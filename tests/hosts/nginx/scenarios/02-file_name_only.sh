# A bare file name is enough to name a file; so is the whole path; another file's name that ends alike is matched too,
# for it is text that is matched: "op.lua" is the end of "shop.lua".
nginx_start
line=$(at shop greet)

hooks_are <<LUA
local dbg = require "resty.inspect.dbg"
for _, file in ipairs {"shop.lua", "$here/app/shop.lua", "app/shop.lua", "op.lua", "/op.lua", "shop"} do
    dbg.set_hook(file, $line, nil, function() ngx.log(ngx.WARN, "hit by ", file, "."); return false end)
end
LUA
get "/greet?name=ann"
log_has "file name" "hit by shop.lua\."
log_has "path" "hit by $here/app/shop.lua\."
log_has "end of the path" "hit by app/shop.lua\."
log_has "end of the name" "hit by op.lua\."
log_lacks "not the end of the name as a whole" "hit by /op.lua\."
log_lacks "no end at all" "hit by shop\.,"
