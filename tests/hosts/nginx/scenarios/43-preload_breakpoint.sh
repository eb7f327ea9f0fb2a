# No hooks file either: `ljinspect run -b FILE:LINE` shows hits in nginx's error log. Code that runs in the master process
# (init_by_lua) is hit as well, since breakpoints need nothing of nginx's.
init='require("shop").greet("init")'
init_worker=''
start_with=("$LJINSPECT_BUILD/ljinspect" run -n 3 -b "shop.lua:$(at shop greet)" --)
nginx_start
get "/greet?name=ann"
get "/greet?name=bob"
get "/greet?name=carol"
log_has "a worker goes on with its master's count" \
    "^ljinspect: breakpoint shop.lua:$(at shop greet), hit [23]: .*shop.lua:$(at shop greet) \(greet\)$" 2
log_has "the first request" '^    name = "ann"$'
log_has "the second request" '^    name = "bob"$'
log_lacks "no more than were asked for" '^    name = "carol"$'
like "init_by_lua, on the terminal nginx was started from" "$(<"$prefix/stdout")" '^    name = "init"$'
get /rich
get /phases
get /threads
