/*
 * The luajit command, and what is built like it: LuaJIT sits in the executable, where no preloaded library can stand
 * before it, but it runs what LUA_INIT says and exports its functions for modules in C.
 */
#ifndef LJINSPECT_PRELOAD_INSIDE_H
#define LJINSPECT_PRELOAD_INSIDE_H

/* Before main(): where this process is of that kind, have its LUA_INIT call us. The program sees LUA_INIT as it was, and
 * what that says is run. */
void inside_start(int argc, char **argv);

#endif
