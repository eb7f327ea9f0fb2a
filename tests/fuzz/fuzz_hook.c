/*
 * Bytes: the fields of a hook in table form, each on a line of its own, which begins with the letter that names it. It is set
 * in a VM whose function has values of all kinds, the function runs, and must compute what it does without.
 *
 *   c condition   l log   h histogram   m mask   t tag   e file   n numbers, a byte each   k capture, a byte
 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/ljinspect.h"
#include "json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char PROGRAM[] =
    "local up = {deep = {deeper = {1, 2, 3, nan = 0 / 0}}, [1.5] = 'x', [true] = false}\n"
    "up.up = up\n"
    "local odd = setmetatable({}, {__tostring = function(t) return t.x.y end, __index = function(t, k) return k .. 1 "
    "end,\n"
    "    __lt = function() return true end, __len = function() error 'len' end, __call = function(_, n) return n "
    "end})\n"
    "return function(a, b, ...)\n"
    "    local text, n, co = '\\255\\0{}\"\\27[0m', select('#', ...), coroutine.create(tostring)\n"
    "    for i = 1, 3 do\n"
    "        local password = 'never shown' .. i\n"
    "        n = n + #password + (up.deep.deeper[i] or odd.x and 0)\n" /* line 9 */
    "    end\n"
    "    return n + a\n" /* line 11 */
    "end\n";

static bool json_lines;

static void get_line(lua_State *L, enum ljinspect_level level, const char *line, size_t len, void *userdata) {
    (void)L;
    (void)level;
    (void)userdata;
    if (strlen(line) != len && memchr(line, 0, len) == NULL) abort();
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ') abort();
    if (json_lines && !json_check(line, len)) abort();
}

static void no_log(lua_State *L, enum ljinspect_level level, const char *message, void *userdata) {
    (void)L;
    (void)level;
    (void)message;
    (void)userdata;
}

/* No functions that reach out of the VM, nor any that a call of takes as long as it likes. */
static lua_State *new_vm(void) {
    static const char *const out[] = {"dofile", "loadfile", "print", "collectgarbage", "load", "loadstring", "require"};
    lua_State *L = luaL_newstate();
    if (L == NULL) abort();
    lua_pushcfunction(L, luaopen_base);
    lua_pushliteral(L, "");
    lua_call(L, 1, 0);
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        lua_pushnil(L);
        lua_setglobal(L, out[i]);
    }
    if (luaL_loadbuffer(L, PROGRAM, sizeof PROGRAM - 1, "@program.lua") != 0) abort();
    lua_call(L, 0, 1);
    ljinspect_set_logger(L, no_log, NULL);
    return L;
}

typedef struct asked {
    ljinspect_hook_options o;
    ljinspect_capture capture;
    const char *masks[8];
    int n_masks;
} asked;

static void take_numbers(asked *a, const unsigned char *n, size_t len) {
    unsigned char v[12] = {0};
    memcpy(v, n, len < sizeof v ? len : sizeof v);
    a->o.line = v[0] % 2 == 0 ? 9 : 11;
    a->o.hits = v[1] % 4;
    a->o.per_second = v[2] % 3;
    a->o.sample = v[3] % 4 == 3 ? 0.5 : 1;
    a->o.count = v[4] & 1;
    a->o.interval = 0.01;
    a->o.level = (enum ljinspect_level)(v[5] % 5);
    a->capture.stack = v[6] % 8;
    a->capture.stack_locals = v[7] % 4;
    a->capture.depth = v[8] % 22;
    a->capture.entries = v[9];
    a->capture.string = v[10];
    a->capture.bytes = v[11];
}

static void take_field(asked *a, char *line, size_t len) {
    switch (line[0]) {
    case 'c': a->o.condition = line + 1; break;
    case 'l': a->o.log = line + 1; break;
    case 'h': a->o.histogram = line + 1; break;
    case 't': a->o.tag = line + 1; break;
    case 'e': a->o.file = line + 1; break;
    case 'm':
        if (a->n_masks < 7) a->masks[a->n_masks++] = line + 1;
        break;
    case 'n': take_numbers(a, (unsigned char *)line + 1, len - 1); break;
    case 'k':
        a->capture.what = (unsigned char)line[1] & 31;
        a->o.capture = &a->capture;
        break;
    default: break;
    }
}

static double run(lua_State *L) {
    lua_pushvalue(L, 1);
    for (int i = 1; i <= 4; i++) lua_pushinteger(L, i);
    if (lua_pcall(L, 4, 1, 0) != 0) return -1;
    double result = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    asked a = {.o = {.size = sizeof a.o}};
    char why[256], *all = malloc(size + 1), *rest = all;
    if (all == NULL) abort();
    memcpy(all, bytes, size);
    all[size] = '\0';
    (void)ljinspect_hook_options_init(&a.o, sizeof a.o);
    a.o.file = "program.lua";
    a.o.line = 9;
    while (rest < all + size) {
        char *line = rest, *end = memchr(rest, '\n', (size_t)(all + size - rest));
        if (end == NULL) end = all + size;
        *end = '\0';
        rest = end + 1;
        if (end > line) take_field(&a, line, (size_t)(end - line));
    }
    a.capture.masks = a.masks;
    a.o.sink = get_line;
    json_lines = a.o.capture != NULL && (a.capture.what & LJINSPECT_CAPTURE_JSON) != 0;
    lua_State *L = new_vm();
    double before = run(L);
    const ljinspect_limits limits = {.size = sizeof limits, .budget = 0, .filter_ms = 20};
    (void)ljinspect_set_limits(L, &limits);
    a.o.budget = 0;
    int64_t id = ljinspect_set_hook_with(L, &a.o, why, sizeof why);
    if (id <= 0 && id != LJINSPECT_ERR_ARGUMENT) abort();
    if (id == LJINSPECT_ERR_ARGUMENT && (why[0] == '\0' || memchr(why, 0, sizeof why) == NULL)) abort();
    int top = lua_gettop(L);
    /* An expression may change what the program computes only by what it calls, and here nothing changes anything. */
    if (run(L) != before || run(L) != before || lua_gettop(L) != top) abort();
    (void)ljinspect_hooks(L, NULL, NULL);
    (void)ljinspect_unset_all(L);
    if (run(L) != before) abort();
    lua_close(L);
    free(all);
    return 0;
}
