-- `luarocks make --lua-version 5.1` from the top of the repository. The rock has a copy of the library as the module's file.
rockspec_format = "3.0"
package = "ljinspect"
version = "scm-1"
source = {url = "."} -- this tree, and no other place
description = {
   summary = "Breakpoints in running LuaJIT programs",
   detailed = "Hooks on lines and functions of LuaJIT programs that must not stop. For LuaJIT 2.1 alone.",
   license = "MIT",
}
supported_platforms = {"linux"}
dependencies = {"lua == 5.1"} -- what LuaJIT is to LuaRocks
build = {
   type = "cmake",
   variables = {
      CMAKE_BUILD_TYPE = "Release",
      LJINSPECT_STATIC = "OFF",
      LJINSPECT_CLI = "OFF",
      LJINSPECT_EXAMPLES = "OFF",
      LJINSPECT_MANUAL = "OFF",
      LJINSPECT_TESTS = "OFF",
   },
   -- LuaRocks moves what is installed, and the installed module is a link. Here what the link leads to is copied.
   install_pass = false,
   install = {
      lib = {ljinspect = "build.luarocks/lua/ljinspect.so"},
      lua = {
         ["apisix.inspect"] = "src/lua/apisix/inspect.lua",
         ["apisix.inspect.dbg"] = "src/lua/apisix/inspect/dbg.lua",
         ["resty.inspect"] = "src/lua/resty/inspect.lua",
         ["resty.inspect.dbg"] = "src/lua/resty/inspect/dbg.lua",
      },
   },
}
