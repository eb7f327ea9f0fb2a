-- LPeg's re, the Lua grammar of leg, and lpeg_patterns
local show = require "show"
local lpeg, re = require "lpeg", require "re"
local parser, scanner, grammar = require "leg.parser", require "leg.scanner", require "leg.grammar"

local rules = lpeg.P(grammar.apply(parser.rules))
for _, name in ipairs { "pl.List", "pl.class", "inspect", "leg.grammar", "mediator" } do
  local ok, result = pcall(lpeg.match, rules, show.read(show.where(name)))
  print(name, ok, tostring(result):gsub("0x%x+", "ADDRESS"))
end
local n = 0
for token in show.read(show.where "pl.pretty"):gmatch "[^\n]+" do
  local at = 1
  while at <= #token do
    local e = lpeg.match(scanner.TOKEN, token, at)
    if not e then break end
    n, at = n + 1, e
  end
end
print("tokens", n)

local calc = re.compile([[
  expr <- {| {:a: term :} ({:op: [-+] :} {:b: expr :})? |}
  term <- {| {:a: factor :} ({:op: [*/] :} {:b: term :})? |}
  factor <- {| {:n: [0-9]+ :} |} / "(" expr ")"
]])
local function eval(t)
  if t.n then return tonumber(t.n) end
  local a = eval(t.a)
  if not t.op then return a end
  local b = eval(t.b)
  if t.op == "+" then return a + b elseif t.op == "-" then return a - b elseif t.op == "*" then return a * b end
  return a / b
end
for _, s in ipairs { "1+2*3", "(1+2)*3", "2*(3+4)*(5-1)/7", "((((8))))" } do print(s, eval(calc:match(s))) end
local csv = re.compile [[
  record <- {| field (',' field)* |} (%nl / !.)
  field <- escaped / nonescaped
  nonescaped <- { [^,"%nl]* }
  escaped <- '"' {~ ([^"] / '""' -> '"')* ~} '"'
]]
for i = 1, 300 do csv:match('a,"b ""quoted""",' .. i .. ",last") end
print(table.concat(csv:match 'a,"b ""quoted""",c', "|"), re.gsub("hello world", "[aeiou]", "*"), re.find("abc123", "[0-9]+"))

local uri, ip4, ip6 = require "lpeg_patterns.uri", require "lpeg_patterns.IPv4", require "lpeg_patterns.IPv6"
local email, http, language = require "lpeg_patterns.email", require "lpeg_patterns.http", require "lpeg_patterns.language"
local eof = lpeg.P(-1)
for _, s in ipairs { "http://user@example.com:80/a/b?c=d#e", "mailto:x@y", "//[::1]/x", "nonsense here" } do
  local t = lpeg.match(uri.uri_reference * eof, s)
  print(s, t and t.scheme, t and t.host and tostring(t.host), t and t.path, t and t.query)
end
print(tostring(lpeg.match(ip4.IPv4address, "127.0.0.1")), tostring(lpeg.match(ip6.IPv6address, "fe80::1:2")))
print(lpeg.match(email.mailbox or email.email, "joe@example.com"), lpeg.match(language.langtag, "en-US") ~= nil)
