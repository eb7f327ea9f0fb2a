-- command lines and containers: argparse, cliargs, moses, fifo, binaryheap, basexx, inifile, ansicolors, uri
require "steady"
local show = require "show"
local argparse = require "argparse"
local parser = argparse("prog", "A program.", "The end.")
parser:argument("input", "Input file."):args "+"
parser:option("-o --output", "Output.", "a.out")
parser:option("-I --include"):count "*":argname "<dir>"
parser:option("--level"):convert(tonumber)
parser:option("-l --mode"):choices { "a", "b" }
parser:flag("-v --verbose", "Be chatty."):count "0-3":target "verbosity"
parser:mutex(parser:flag "-q --quiet", parser:flag "-p --pretty")
local install = parser:command("install i", "Install."):require_command(false)
install:argument "rock"
install:option("-f --from"):args "1-2"
parser:require_command(false)
parser:add_complete()
local function parse(...)
  local ok, r = parser:pparse { ... }
  local out = {}
  local function add(k, v)
    if type(v) == "table" then for a, b in pairs(v) do add(k .. "." .. tostring(a), b) end else out[#out + 1] = k .. "=" .. tostring(v) end
  end
  if ok then add("", r) else out[1] = tostring(r) end
  print(ok, table.concat(out, " "))
end
parse("x", "y", "-o", "z", "-Iinc", "-I", "inc2", "-vv")
parse("x", "-q", "-p")
parse()
parse("x", "--lvel", "3")
parse("x", "-l", "c")
parse("x", "install", "rock", "-f", "a", "b")
for i = 1, 60 do parser:parse { "x", "-vI" .. i, "--output=" .. i } end
print(parser:get_help())
print(parser:get_usage())
print(show.digest(parser:get_bash_complete() .. parser:get_zsh_complete() .. parser:get_fish_complete()))

local cliargs = require "cliargs"
local cli = require "cliargs.core"()
cli:set_name "cli.lua"
cli:argument("OUTPUT", "path")
cli:splat("INPUTS", "inputs", "/tmp/foo", 10)
cli:option("-c, --compress=FILTER", "filter", "gzip")
cli:flag("-v, --[no-]verbose", "chatty", false)
local args = cli:parse { "-v", "--compress=lzma", "out", "in1", "in2" }
for k, v in pairs(args) do print(k, type(v) == "table" and table.concat(v, ",") or v) end
print(cli:parse { "--bad" })
print(cli.printer.generate_help_and_usage and cli.printer.generate_help_and_usage())

local M = require "moses"
local r = M.range(1, 60)
print(M.sum(M.map(r, function(v) return v * v end)), M.reduce(r, function(a, b) return a + b end), M.concat(M.reverse(M.first(r, 5)), ","))
print(M.concat(M.flatten { 1, { 2, { 3, { 4 } } } }, ","), M.concat(M.uniq { 1, 1, 2, 3, 3 }, ","), M.isEqual({ 1, { 2 } }, { 1, { 2 } }))
print(M.concat(M.map(M.chunk(r, function(v) return v % 10 == 0 end), function(v) return #v end), ","))
for _, p in ipairs(M.sample and {} or {}) do print(p) end
local perms = 0
for p in M.permutation { 1, 2, 3, 4 } do perms = perms + p[1] end
print(perms, M.concat(M.zip and M.zip({ 1, 2 }, { 3, 4 })[1] or {}, ","), M.concat(M.intersection({ 1, 2, 3 }, { 2, 3 }), ","))
local memo = M.memoize(function(n) return n * 2 end)
print(memo(4), memo(4), M.compose(function(x) return x + 1 end, function(x) return x * 2 end)(5), M.concat(M.sort({ 3, 1, 2 }), ","))
print(M.chain({ 1, 2, 3, 4 }):filter(function(v) return v % 2 == 0 end):map(function(v) return v * 10 end):sum():value())

local q = require "fifo"()
for i = 1, 200 do q:push(i) if i % 3 == 0 then q:pop() end end
print(q:length(), q:pop(), q:peek())
local heap = require "binaryheap".minUnique()
local x = 11
for i = 1, 150 do x = x * 7919 % 10007 heap:insert(x, i) end
local order = {}
for i = 1, 150 do local payload, value = heap:pop() order[i] = payload .. ":" .. value end
print(show.digest(table.concat(order, " ")))
local basexx = require "basexx"
for _, f in ipairs { "bit", "hex", "base32", "crockford", "base64", "url64", "z85" } do
  local text = ("Hello, basexx! 1234567890 padding"):sub(1, 32)
  local enc = basexx["to_" .. f](text)
  print(f, enc:sub(1, 50), basexx["from_" .. f](enc) == text)
end
print(require "ansicolors" "%{red}hello%{reset} %{bright blue underline}x" == "" or "colors")
local URI = require "uri"
for _, s in ipairs { "http://www.Example.com:80/%7Efoo/../bar?x=1#frag", "urn:isbn:0-306-40615-2", "ftp://user:pw@host/dir;type=a", "file:///etc/x", "data:,text", "pop://rg@mailsrv" } do
  local u, e = URI:new(s)
  print(s, tostring(u or e), u and u:scheme(), u and u:path())
end
print(tostring(URI:new("../g?y", "http://a/b/c/d;p?q")), tostring(URI:new("http://a/b"):eq "http://a/b"))
