-- Writes random Lua programs to standard output: luajit generate.lua SEED [COUNT]
-- The same seed gives the same program. Each ends by itself (it has so many calls and turns of loops to spend), prints the
-- same each time it is run (no addresses, no order of pairs(), no clock), and raises and catches errors on the way.
-- COUNT (default 1) of them, from this seed on, are one file: what one left compiled, the next finds.
-- It begins with prelude.lua, which has the functions of one capital letter.
local first_seed, count = assert(tonumber(arg[1]), "generate.lua: which seed?"), tonumber(arg[2] or 1)
local seed

-- By chance: of the generator's own, so that it is the same with every LuaJIT.
local state
local function random(n) -- 1 to n
    for _ = 1, 2 do state = (state * 1664525 + 1013904223) % 4294967296 end
    return math.floor(state / 65536) % n + 1
end
local function begin(with)
    seed = with
    state = (seed * 2654435 + 12345) % 4294967296
    for _ = 1, 20 do random(2) end
end
begin(first_seed)
local function chance(percent) return random(100) <= percent end
local function pick(list) return list[random(#list)] end
-- From a list of weight, value, weight, value...
local function choose(list)
    local sum = 0
    for i = 1, #list, 2 do sum = sum + list[i] end
    local at = random(sum)
    for i = 1, #list, 2 do
        at = at - list[i]
        if at <= 0 then return list[i + 1] end
    end
end

-- ---- Lines -----------------------------------------------------------------------------------------------------------

local out, depth, line = {}, 0, {}
local function flush()
    if #line > 0 then out[#out + 1] = ("  "):rep(depth) .. table.concat(line, " ") end
    line = {}
end
-- A statement; some share a line with the next.
local function put(text)
    line[#line + 1] = text
    if not chance(8) then flush() end
end
local function open(text)
    put(text)
    flush()
    depth = depth + 1
end
local function close(text)
    flush()
    depth = depth - 1
    put(text)
    flush()
end
local function middle(text) -- else, elseif
    close(text)
    depth = depth + 1
end

-- ---- Names -----------------------------------------------------------------------------------------------------------

-- vars: what can be seen, with its kind, which the program keeps to: num, str, tab, fun. fn: of the function.
local scope
local names = 0
local function name(prefix)
    names = names + 1
    return prefix .. names
end
local function enter(fn)
    scope = { up = scope, vars = {}, fn = fn or scope.fn }
end
local function leave() scope = scope.up end
-- A fixed one is not assigned to: the program would not end, or not be what it seems.
local function declare(kind, n, fixed)
    scope.vars[#scope.vars + 1] = { kind = kind, name = n, fixed = fixed }
end
-- A variable of this kind, or nil; the nearest are the likeliest. A function has no more than 60 upvalues.
local function find(kind, to_set)
    local all, s = {}, scope
    while s do
        for i = #s.vars, 1, -1 do
            local v = s.vars[i]
            if v.kind == kind and not (to_set and v.fixed) then all[#all + 1] = v.name end
        end
        s = s.up
    end
    return all[random(math.min(#all, chance(70) and 5 or 20))]
end

-- ---- Expressions -----------------------------------------------------------------------------------------------------

-- In the texts below: $n a number, $s a string, $t a table, $b a condition, $c a call, $a arguments, $k a constant,
-- $u "..." and $v a call with it where the function has them, $_ white space.
local fill

local expressions = {
    n = {
        30, "$N", 10, "$k", 14, "($n$_+ $n)", 8, "($n - $n)", 8, "($n * $n)", 5, "($n % 7)", 3, "($n % 16)", 2, "($n / 4)", 2, "-($N)",
        4, "($b and $n$_or $n)", 3, "N($T[$n])", 3, "N(($t)[$n])", 3, "N(($t).x)", 2, "N($T.y)", 1, "N($T.m)", 9, "N($c)", 3, "#$s", 3, "#$t", 2, "N($t + $n)",
        1, "N(-$t)", 3, "math.floor($n)", 1, "math.abs($n)", 2, "math.min($n,$_$n)", 2, "math.max($n, $n)", 2, "bit.band(W($n), 255)",
        1, "bit.bxor(W($n), 21)", 1, "N(tonumber($s))", 3, "$v", 1, "N(ffi and ffi.cast('int64_t', W($n)) * 3LL)", 2, "N(box and box[W($n) % 4])",
        1, "(function(...) return $n end)($a)", 1, "N(($s):byte($k))", 1, "N(($s):find($s, 1, true))", 1, "N(select(2, ($s):gsub('[a-k]', '%0%0')))",
        1, "N(table.remove($t))", 1, "select('#', unpack($t, 1, 3))", 1, "math.max(0,$_math.fmod($n, 7))", 1, "($n % -3)", 1, "($n ^ 2)",
        1, "bit.tobit(N($n))", 1, "bit.rshift(W($n), W($n) % 33)", 1, "N(pair and pair($n, $n).a)", 1, "N(pair and #pair($n, 2))",
        1, "N(pair and (pair($n, 1) +$_pair(1, $n)).b)", 1, "N(by_c and by_c(function(a, b)$_T() return a - b end, $n))",
    },
    s = {
        14, "$S", 2, "''", 2, "'a'", 2, "'12'", 2, [["x\0y"]], 4, "S($s$_.. $n)", 4, "S($s .. 'k' .. $s)", 3, "($s):sub(2, 7)", 1, "($s):sub(-3)",
        1, "(($s):gsub('%d', function(d) return '<' .. d .. '>' end))", 1, "(($s):gsub('.', function(d)$_return nil end))",
        2, "string.format('%g:%s', N($n), $s)", 2, "tostring(N($n))", 1, "type($n)", 1, "type($t)", 1, "S(($s):rep(3, '-'))", 1, "($s):reverse()", 1, "($s):upper()", 1, "S(($s):match('(%w+)%W*'))",
        1, "(($s):gsub('%w+', { a = 'A', k = false, s = '%' }))", 1, "(($s):gsub('(.)(.)', function(a, b) T()$_return b .. a end))",
        1, "string.char(65 + W($n) % 26)", 1, "('%5.1f|%x|%q'):format(N($n), W($n), $s)", 1, "table.concat({N($n), $s,$_1e15}, ',')",
        1, "S(bytes($s, #$s))", 1, "words($s)", 1, "S($t .. $s)", 2, "S($c)",
    },
    t = {
        30, "$T", 3, "G", 4, "{$n,$_$n, x = $n}", 2, "{$c}", 1, "{$u}", 5, "O($n)", 1, "{$s, m = function(self, a)$_return a end}",
    },
    b = {
        12, "$n < $n", 4, "$n <= $n", 4, "$n > $n", 3, "$n == $n", 3, "$n ~= $k", 3, "$s == $s", 1, "$s ~= 'a'", 1, "$s < $s", 2, "not ($n > $k)",
        2, "$n == $k$_and $s ~= 'a'", 2, "$n ~= $k or$_$b", 1, "$t == $t", 1, "O($n) < O($n)", 1, "G <= O($n)", 2, "($t).x", 1, "true", 1, "false", 1, "nil",
    },
    c = { 8, "$F($a)", 2, "($t):m($a)", 1, "($t)($a)", 1, "select(-1, $F($a))", 1, "id($c)" },
    k = { 1, "-0", 1, "(0/0)", 1, "math.huge", 1, "2^53", 1, "2^31", 1, "-2147483648", 1, "0x7fffffff", 1, "1e-300", 1, "4294967296.5", 2, "0", 3, "1", 3, "2", 2, "3", 2, "7", 1, "-1", 1, "-5", 2, "10", 1, "0.5", 1, "12.25", 1, "1e9" },
    v = { 1, "select('#', ...)", 1, "N((...))" },
}
-- Where it is deep enough.
local plain = { n = "$N", s = "$S", t = "$T", b = "$N < $k", c = "$F($N)" }

local function argument_list(deep)
    local a = {}
    for i = 1, random(4) - 1 do a[i] = fill(choose { 5, "$n", 2, "$s", 2, "$t", 1, "nil", 1, "true" }, deep) end
    if scope.fn.varargs and chance(20) then a[#a + 1] = "..." end
    return table.concat(a, fill ",$_")
end

local special = {
    N = function() return find "num" or fill "$k" end,
    S = function() return find "str" or "'s'" end,
    T = function() return find "tab" or "G" end,
    F = function() return find "fun" or "id" end,
    a = argument_list,
    u = function() return scope.fn.varargs and "..." or "1" end,
    _ = function() return chance(6) and "\n" .. ("  "):rep(depth + 2) or " " end,
}

function fill(text, deep)
    deep = deep or 0
    return (text:gsub("%$(.)", function(what)
        if special[what] then return special[what](deep + 1) end
        if what == "v" and not scope.fn.varargs then return fill "$k" end
        return fill(deep >= 3 and plain[what] or choose(expressions[what]), deep + 1)
    end))
end

-- ---- Statements ------------------------------------------------------------------------------------------------------

local statement = {}
local likely = {
    20, "locals", 22, "set", 14, "field", 12, "when", 9, "count", 4, "each", 4, "loop", 4, "repetition", 8, "closure", 10, "call", 6, "show",
    7, "protected", 2, "raise", 4, "coroutines", 3, "scoped", 4, "skip", 1, "loaded", 2, "order", 2, "other", 4, "several", 2, "again",
    3, "shared", 2, "across", 2, "matches", 2, "swap", 1, "closed", 1, "environment",
}
local budget -- statements in all

local function block(n)
    for _ = 1, n do
        if budget <= 0 then return end
        budget = budget - 1
        statement[choose(likely)]()
    end
end

local function nested(n)
    enter()
    block(n or random(3))
    leave()
end

-- A function of 0 to 3 parameters, perhaps with varargs: `head`(parameters) ... `tail`.
local function make_function(head, tail, method)
    local level = scope.fn.level + 1
    enter { varargs = chance(30), level = level }
    if method then declare("tab", "self", true) end
    local params = {}
    for i = 1, random(4) - 1 do params[i] = name "p" end
    local list = {}
    for i, p in ipairs(params) do list[i] = p end
    if scope.fn.varargs then list[#list + 1] = "..." end
    open(head .. "(" .. table.concat(list, ", ") .. ")")
    put "T()"
    for _, p in ipairs(params) do
        local kind = pick { "num", "str", "tab" }
        put(("%s = %s(%s)"):format(p, ({ num = "N", str = "S", tab = "A" })[kind], p))
        declare(kind, p)
    end
    block(random(6))
    flush()
    put(fill(choose { 9, "return $n", 3, "return $n, $s, $u", 3, "return $c", 1, "return $t", 4, "Q()" }))
    leave()
    close(tail)
end

function statement.locals()
    local kind = choose { 5, "num", 3, "str", 3, "tab" }
    local n = name "v"
    put(fill("local " .. n .. " =$_$" .. kind:sub(1, 1)))
    declare(kind, n)
end

function statement.several()
    local a, b = name "a", name "b"
    put(fill("local " .. a .. ", " .. b .. " = $c"))
    put(("%s, %s = N(%s), S(%s)"):format(a, b, b, a))
    declare("num", a)
    declare("str", b)
end

function statement.set()
    local kind = choose { 2, "num", 1, "str", 1, "tab" }
    local n = find(kind, true)
    if not n then return statement.locals() end
    put(n .. fill(" = $" .. kind:sub(1, 1)))
end

function statement.field()
    put(fill(choose { 3, "$T.x = $n", 2, "$T.y = $n", 1, "$T.z = $s", 3, "$T[W($n)] = $n", 1, "$T[$n] = $s", 1, "$T.m = $F" }))
end

function statement.when()
    open(fill "if $b then")
    nested()
    while chance(25) do
        middle(fill "elseif $b then")
        nested()
    end
    if chance(40) then
        middle "else"
        nested()
    end
    close "end"
end

-- `begin` is called at the beginning of the body.
local function loop(head, begin, tail)
    open(head)
    enter()
    if begin then begin() end
    put "T()"
    block(random(4))
    flush()
    if chance(15) then put(fill "if $b then break end") end
    tail = fill(tail or "end")
    leave()
    close(tail)
end

function statement.count()
    local i, from, to = name "i", random(3), random(chance(20) and 40 or 6)
    local step = choose { 6, "", 2, ", 2", 2, ", -1", 1, ", 0.5" }
    if step == ", -1" then from, to = to, from end
    loop(fill("for " .. i .. " = " .. from .. ",$_" .. to .. step .. " do"), function() declare("num", i, chance(70)) end)
end

function statement.each()
    local k, v = name "k", name "w"
    local what = choose { 4, "ipairs($t)", 3, "sorted($t)", 3, "walk($n)", 1, "next, {$n}", 1, "pairs({$n})" }
    loop(fill("for " .. k .. ", " .. v .. " in " .. what .. " do"), function()
        put(v .. " = N(" .. v .. ")")
        declare("num", v)
    end)
end

function statement.loop()
    local n = name "c"
    put("local " .. n .. " = " .. random(5))
    loop(fill("while " .. n .. " > 0 " .. (chance(30) and "and $b do" or "do")), function()
        put(n .. " = " .. n .. " - 1")
        declare("num", n, true)
    end)
end

function statement.repetition()
    local n, d = name "c", name "d"
    put("local " .. n .. " = 0")
    loop("repeat", function()
        put("local " .. d .. " = " .. n .. " + " .. random(2))
        put(n .. " = " .. d)
        declare("num", d, true)
    end, "until " .. d .. " > " .. random(5) .. (chance(30) and " or $b" or ""))
end

function statement.skip() -- continue
    local i, label = name "i", name "skip"
    open("for " .. i .. " = 1, " .. random(5) .. " do")
    enter()
    declare("num", i, true)
    put "T()"
    put(fill "if $b then" .. " goto " .. label .. " end")
    open "do"
    nested()
    close "end"
    put("::" .. label .. "::")
    leave()
    close "end"
end

function statement.again() -- a loop of goto
    local i, label = name "g", name "again"
    open "do"
    enter()
    put("local " .. i .. " = 0")
    declare("num", i, true)
    put("::" .. label .. "::")
    put(i .. " = " .. i .. " + 1")
    put "T()"
    open "do"
    nested()
    close "end"
    put(fill("if " .. i .. " < " .. random(6) .. (chance(40) and " and $b then" or " then") .. " goto " .. label .. " end"))
    leave()
    close "end"
end

function statement.scoped()
    open "do"
    nested()
    close "end"
end

-- Statements with a function in them; not too deep.
local function deep() return scope.fn.level >= 4 end

function statement.closure()
    if deep() then return statement.set() end
    local t = find "tab"
    if t and chance(25) then return make_function("function " .. t .. ":m", "end", true) end
    local f = name "f"
    if chance(50) then
        put("local " .. f)
        declare("fun", f, true) -- it may call itself
        make_function(f .. " = function", "end")
    else
        make_function("local function " .. f, "end")
        declare("fun", f)
    end
end

function statement.protected()
    if deep() then return statement.set() end
    if chance(70) then
        make_function("P(E(pcall(function", fill "end, $n, $s)))")
    else
        make_function("P(E(xpcall(function", "end, handler)))")
    end
end

function statement.coroutines()
    if deep() then return statement.set() end
    local co = name "co"
    make_function("local " .. co .. " = " .. pick { "coroutine.wrap", "wrapped" } .. "(function", "end)")
    put(fill("for r = 1, " .. random(4) .. " do P(E(pcall(" .. co .. ", $n))) end"))
end

-- Functions that share a variable, of a turn each; what they hold outlives the loop.
function statement.shared()
    if deep() then return statement.set() end
    local list, v, i = name "l", name "u", name "i"
    put("local " .. list .. " = {}")
    open("for " .. i .. " = 1, " .. random(4) .. " do")
    enter()
    put(fill("local " .. v .. " = $n"))
    declare("num", v)
    declare("num", i, true)
    put(fill(("%s[#%s + 1] = function(a) %s =$_%s + N(a) return %s end"):format(list, list, v, v, v)))
    make_function(("%s[#%s + 1] = function"):format(list, list), "end")
    put(fill("if $b then break end"))
    leave()
    close "end"
    put(fill(("for _, f in ipairs(%s) do P(N((f($n)))) end"):format(list)))
end

-- Yields within pcall() and message handlers, out of which errors come after the coroutine goes on.
function statement.across()
    if deep() then return statement.set() end
    local co = name "co"
    open("local " .. co .. " = coroutine.wrap(function(...)")
    enter { varargs = true, level = scope.fn.level + 1 }
    open(fill("P(E(" .. pick { "pcall(function(a)", "xpcall(function(a)" }))
    enter { varargs = false, level = scope.fn.level + 1 }
    local is_xpcall = line[1] == nil and out[#out]:find "xpcall" ~= nil
    put "T()"
    put(fill "local r = Y($n)")
    put "r = N(r)"
    declare("num", "r")
    nested()
    put(fill(choose { 2, "if $b then error($s) end", 1, "error({$n})", 1, "r = Y(r) + nil", 2, "P(r)" }))
    flush()
    put(fill(chance(50) and "return Y($n), 1" or "do return $n end"))
    leave()
    close(is_xpcall and "end, handler)))" or fill "end, ...)))")
    put(fill "Y($n)")
    flush()
    put(fill "return $n")
    leave()
    close "end)"
    put(fill("for r = 1, " .. 1 + random(5) .. " do P(E(pcall(" .. co .. ", $n))) end"))
end

function statement.matches()
    local a, b = name "a", name "b"
    loop(fill("for " .. a .. ", " .. b .. " in ($s):gmatch(" .. pick { "'(%w)(%d*)'", "'()(.)'", "'((%a)%a)'" } .. ") do"), function()
        put(("%s, %s = N(%s), S(%s)"):format(a, b, a, b))
        declare("num", a)
        declare("str", b)
    end)
end

function statement.swap()
    local a, b, t = find("num", true), find("num", true), find "tab" or "G"
    if not a or a == b then return statement.locals() end
    put(fill(choose {
        2, ("%s, %s = %s, %s"):format(a, b, b, a), 1, ("%s, %s.x = N(%s.x),$_%s"):format(a, t, t, a), 1, ("%s, %s = $n, $c"):format(a, a),
    }))
    put(a .. ", " .. b .. " = N(" .. a .. "), N(" .. b .. ")")
end

-- A variable that changes while a function holds it, and one that is left by break.
function statement.closed()
    if deep() then return statement.set() end
    local g, v = name "f", name "u"
    put("local " .. g)
    open "repeat"
    enter()
    put(fill("local " .. v .. " = $n"))
    declare("num", v)
    make_function(g .. " = function", "end")
    put(fill(v .. " = $n"))
    flush()
    put(fill("if $b then break end"))
    flush()
    leave()
    close("until " .. v .. " or true")
    declare("fun", g, true)
end

function statement.environment()
    put(fill("Q(setfenv(assert(loadstring('x = (x or 0) + ...\\nreturn x, y', '=other')), setmetatable({},$_{ __index = $t }))($n))"))
end

function statement.call() put(fill "Q($c)") end

function statement.show() put(fill(choose { 4, "P($n)", 3, "P($s)", 2, "P($a)", 2, "P($c)", 1, "P($b)" })) end

function statement.raise()
    put(fill(choose { 3, "if $b then error($s) end", 1, "if $b then error({$n}) end", 1, "if $b then error() end", 1, "if $b then error($s, 2) end", 1, "if $b then Q(({}) < $n) end",
        1, "if $b then Q(nil .. $s) end", 1, "if $b then Q(#$n) end", 1, "if $b then $T[nil] = $n end", 1, "if $b then ($s):none() end" }))
end

function statement.loaded() -- made at run time, and forgotten
    put(fill("Q(assert(loadstring('local a = ...\\nlocal b = N and 1 or a\\nreturn b', '@made" .. seed .. "'))($n))"))
end

function statement.order()
    put(fill "local t = {$n, $n, $n}")
    if chance(40) then
        put(fill "P(E(pcall(table.sort, {$n, $s, $n}, function(a, b) T()$_return N(a) % 10 > N(b) % 10 end)))")
        enter { varargs = false, level = scope.fn.level }
        put(fill "P(E(pcall(table.sort, t, function(a, b)$_if a == b then return false end return $b end)))")
        leave()
        return
    end
    put(fill("table.sort(t, function(a, b)$_return a " .. pick { "<", ">" } .. " b end)"))
    put "P(t[1], t[2], t[3])"
end

function statement.other()
    put(fill(pick {
        "Y($n)", "Y($n)", "Y($n)", "Y($s)", "collectgarbage('step', 20)", "jit.flush()", "P(debug.getinfo(1, 'l').currentline)", "P(E(pcall(error)))",
        "Q(string.dump(id))", "P(E(pcall(string.rep)))", "P(nameless(debug.traceback('t')))", "Q(tostring($t))", "Q(($t).x.y.z)",
    }))
end

-- ---- The programs ----------------------------------------------------------------------------------------------------

print("-- generated: generate.lua " .. first_seed .. " " .. count)
print "-- torture: generated"
print(pick { "", "jit.opt.start('hotloop=2', 'hotexit=2')", "jit.opt.start('hotloop=5', 'hotexit=1')", "jit.opt.start(1, 'hotloop=3')" })
for text in io.lines((arg[0]:match "^(.*)/" or ".") .. "/prelude.lua") do print(text) end

local function program()
    budget = 40 + random(120)
    enter { level = 0 }
    declare("fun", "id", true)
    declare("fun", "F", true)
    declare("tab", "G", true)
    local parts = {}
    while budget > 0 do
        local f = name "part"
        make_function("local function " .. f, "end")
        declare("fun", f, true)
        parts[#parts + 1] = f
    end
    flush()
    leave()
    print "do"
    print(table.concat(out, "\n"))
    local long = chance(4) -- most have little to spend: other code finds more than the same code does
    print("for round = 1, " .. 1 + random(long and 12 or 3) .. " do")
    for _, f in ipairs(parts) do print("  R(" .. f .. ", round, " .. (long and 600 or 120) .. ")") end
    print "end"
    print "end"
    out, names = {}, 0
end
for i = first_seed, first_seed + count - 1 do
    begin(i)
    program()
end
