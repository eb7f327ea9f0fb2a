-- libraries of the web: ltn12, mime, url, markdown, cosmo, xmlrpc, luadoc's templates, copas-like coroutines
require "steady"
local show = require "show"
local ltn12, mime, url, http = require "ltn12", require "mime", require "socket.url", nil
local text = show.read(show.where "ltn12")
local out = {}
ltn12.pump.all(ltn12.source.chain(ltn12.source.string(text), ltn12.filter.chain(mime.encode "base64", mime.wrap "base64")), (ltn12.sink.table(out)))
local encoded = table.concat(out)
local back = {}
ltn12.pump.all(ltn12.source.chain(ltn12.source.string(encoded), mime.decode "base64"), (ltn12.sink.table(back)))
print(show.digest(encoded), table.concat(back) == text)
out = {}
ltn12.pump.all(ltn12.source.chain(ltn12.source.cat(ltn12.source.string "a=b\r\n", ltn12.source.string(text:sub(1, 4000))), ltn12.filter.chain(mime.normalize(), mime.encode "quoted-printable", mime.wrap "quoted-printable")), (ltn12.sink.table(out)))
print(show.digest(table.concat(out)))
for _, u in ipairs { "http://user:pw@host:80/a/./b/../c;p?q=1#f", "//host/x", "mailto:me", "/only/path", "http://[::1]:8080/x" } do
  local p = url.parse(u)
  print(u, p.scheme, p.host, p.port, p.path, url.build(p), url.absolute("http://a/b/c/d;p?q", u))
end
for i = 1, 100 do assert(url.unescape(url.escape("a b&c=" .. i .. "/\255")) == "a b&c=" .. i .. "/\255") end
print(table.concat(url.parse_path "/a/b%20c/d", "|"), url.build_path { "x y", "z", is_absolute = 1 })
local markdown = require "markdown"
markdown = type(markdown) == "function" and markdown or _G.markdown
for _, name in ipairs { "lua-json/README.md", "lua-json/ReleaseNotes-1.3.txt" } do
  print(name, show.digest(markdown(show.read(os.getenv "TORTURE_DEBIAN" .. "/usr/share/doc/" .. name))))
end
print(markdown "# T\n\n* a\n* b `c`\n\n1. x\n2. **y** [l](http://z \"t\")\n\n> quote\n> more\n\n    code <&>\n\n![i](s.png) <http://auto> a  \nb\n\n***\n\nref [x][1]\n\n[1]: http://r\n")
local cosmo = require "cosmo"
for i = 1, 20 do
  cosmo.fill("$do_items[[<li>$name: $price</li>]] $if{ $x }[[yes]][[no]]", { do_items = function() for j = 1, 3 do cosmo.yield { name = "n" .. j, price = j * i } end end, x = i % 2 == 0, ["if"] = cosmo.cif })
end
print(cosmo.fill("$do_items[[<li>$name: $price</li>]] $title", { title = "T", do_items = function() for j = 1, 3 do cosmo.yield { name = "n" .. j, price = j } end end }))
local xmlrpc = require "xmlrpc"
print(show.digest(xmlrpc.clEncode("m.x", 1, "s<&>", { 1, 2, 3 }, { a = true, b = 2.5 })))
print(show.digest(xmlrpc.srvEncode({ code = 3, message = "bad" }, true)))
local lp = require "luadoc.lp"
lp.setcompatmode(true)
local printed = {}
local write = io.write
lp.setoutfunc "OUT"
OUT = function(...) printed[#printed + 1] = table.concat { ... } end
local f = assert(loadstring(lp.translate "<% for i = 1, 3 do %> <b><%= i * 2 %></b> <% end %> end"))
f()
print(table.concat(printed))
local coxpcall = require "coxpcall"
local co = coroutine.wrap(function()
  return coxpcall.pcall(function()
    for i = 1, 20 do coroutine.yield(i) end
    error("inside", 0)
  end)
end)
local n = 0
for i = 1, 20 do n = n + co() end
print(n, co())
print(coxpcall.xpcall(function() local x = nil + 1 end, function(m) return "handled" end))
local colors = require "ansicolors"
print(#colors("%{red}hello%{reset} %{bright blue underline}x"))
local inspect = require "inspect"
local cyclic = { 1, 2, { a = 1, f = print and "f" } }
cyclic.self = cyclic
print(inspect(cyclic), inspect({ a = { b = { c = 1 } } }, { depth = 2, newline = "@", indent = ">" }))
print(inspect({ a = 1, b = 2, secret = 3 }, { process = function(item, path) if path[#path] ~= "secret" then return item end end }))
local md5 = require "md5"
print(md5.sumhexa "hello", #md5.crypt("text", "key", "0123456789"), md5.decrypt(md5.crypt("text", "key", "0123456789"), "key"))
