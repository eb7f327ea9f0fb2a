#include "ljinspect.h"

const char *ljinspect_version(void) {
    return LJINSPECT_VERSION;
}

const char *ljinspect_strerror(int code) {
    if (code >= 0) return "no error";
    switch ((enum ljinspect_error)code) {
    case LJINSPECT_OK: break;
    case LJINSPECT_ERR_ARGUMENT: return "invalid argument";
    case LJINSPECT_ERR_NOMEM: return "not enough memory";
    case LJINSPECT_ERR_CLOSED: return "the Lua state is being closed";
    case LJINSPECT_ERR_FOREIGN: return "another copy of ljinspect already serves this Lua state";
    case LJINSPECT_ERR_SYSTEM: return "a system call failed";
    case LJINSPECT_ERR_UNTRUSTED: return "the hooks file may be written by others";
    case LJINSPECT_ERR_HOOKSFILE: return "the hooks file failed";
    case LJINSPECT_ERR_ENGINE: return "no engine works with this LuaJIT";
    case LJINSPECT_ERR_BUSY: return "not possible from here";
    case LJINSPECT_ERR_LUA: return "a Lua error was raised";
    }
    return "unknown error";
}
