#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "ljinspect.h"

engine *engine_open(lua_State *L, const engine_host *host) {
    const char *wanted = getenv("LJINSPECT_ENGINE");
    if (wanted != NULL && *wanted != '\0' && strcmp(wanted, engine_line.name) != 0)
        host->log(host->owner, L, LJINSPECT_WARN, "LJINSPECT_ENGINE=%s: no such engine, using \"%s\"", wanted,
                  engine_line.name);
    return engine_line.open(L, host);
}
