#include "render.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

bool render_full(const render *r) {
    return r->out->failed || r->out->len > (size_t)r->limits->bytes;
}

static const char *type_name(lua_State *L, int index) {
    return lua_typename(L, lua_type(L, index));
}

/* ---- Values without contents ---- */

static void put_type(const render *r, const char *type) {
    out_text(r->out, "{\"type\":\"");
    out_text(r->out, type);
    out_char(r->out, '"');
}

/* A value that is only named: by its type, what is the matter with it, and its address if it has one. */
static void put_named(const render *r, const char *type, const char *what, const void *address) {
    outbuf *o = r->out;
    if (r->json) {
        put_type(r, type);
        if (address != NULL) {
            out_text(o, ",\"id\":\"");
            out_pointer(o, address);
            out_char(o, '"');
        }
        if (what != NULL) {
            out_text(o, strcmp(what, "masked") == 0 ? ",\"masked\":true" : ",\"cut\":\"");
            if (strcmp(what, "masked") != 0) {
                out_text(o, what);
                out_char(o, '"');
            }
        }
        out_char(o, '}');
        return;
    }
    if (what != NULL) {
        out_char(o, '<');
        out_text(o, type);
        out_text(o, ", ");
        out_text(o, what);
        out_char(o, '>');
        return;
    }
    out_text(o, type);
    out_text(o, ": ");
    out_pointer(o, address);
}

static void put_string(const render *r, int index) {
    size_t len;
    const char *s = lua_tolstring(r->L, index, &len);
    size_t shown = out_utf8_cut(s, len, (size_t)r->limits->string);
    outbuf *o = r->out;
    if (!r->json) {
        out_quoted(o, s, shown);
        if (shown < len) out_text(o, "...");
        return;
    }
    put_type(r, "string");
    out_text(o, ",\"value\":");
    bool valid = out_json_string(o, s, shown);
    if (shown < len) {
        out_text(o, ",\"bytes\":");
        out_integer(o, (long long)len);
    }
    if (!valid) out_text(o, ",\"invalid_utf8\":true");
    out_char(o, '}');
}

static void put_number(const render *r, double n) {
    outbuf *o = r->out;
    if (r->json) out_text(o, "{\"type\":\"number\",\"value\":");
    if (isfinite(n)) {
        out_number(o, n);
    } else {
        if (r->json) out_char(o, '"');
        out_text(o, isnan(n) ? "nan" : n > 0 ? "inf" : "-inf");
        if (r->json) out_char(o, '"');
    }
    if (r->json) out_char(o, '}');
}

static void put_word(const render *r, const char *type, const char *word) {
    outbuf *o = r->out;
    if (r->json) {
        put_type(r, type);
        out_text(o, ",\"value\":");
    }
    out_text(o, r->json && strcmp(word, "nil") == 0 ? "null" : word);
    if (r->json) out_char(o, '}');
}

static void put_function(const render *r, int index) {
    lua_Debug ar;
    outbuf *o = r->out;
    lua_pushvalue(r->L, index);
    lua_getinfo(r->L, ">S", &ar);
    bool in_lua = strcmp(ar.what, "C") != 0;
    if (!r->json) {
        out_text(o, "function: ");
        if (!in_lua) {
            out_pointer(o, lua_topointer(r->L, index));
            return;
        }
        out_word(o, ar.short_src);
        out_char(o, ':');
        out_integer(o, ar.linedefined);
        return;
    }
    put_type(r, "function");
    out_text(o, ",\"id\":\"");
    out_pointer(o, lua_topointer(r->L, index));
    out_char(o, '"');
    if (in_lua) {
        out_text(o, ",\"source\":");
        out_json_string(o, ar.short_src, strlen(ar.short_src));
        out_text(o, ",\"line\":");
        out_integer(o, ar.linedefined);
    }
    out_char(o, '}');
}

/* What the value's __tostring says of it. */
static void put_described(const render *r, int index) {
    lua_State *L = r->L;
    lua_pushvalue(L, index);
    const char *type = type_name(L, index);
    bool ok = lua_getmetatable(L, -1) != 0;
    if (ok) {
        lua_pushliteral(L, "__tostring");
        lua_rawget(L, -2);
        lua_replace(L, -2);
        lua_insert(L, -2);
        ok = lua_pcall(L, 1, 1, 0) == 0;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushfstring(L, "__tostring of a %s gave no text", type);
        ok = false;
    }
    if (r->json) {
        put_type(r, type);
        out_text(r->out, ok ? ",\"text\":" : ",\"error\":");
        size_t len;
        const char *s = lua_tolstring(L, -1, &len);
        out_json_string(r->out, s, out_utf8_cut(s, len, (size_t)r->limits->string));
        out_char(r->out, '}');
    } else {
        put_string(r, lua_gettop(L));
    }
    lua_pop(L, 1);
}

static bool has_tostring(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    lua_pushliteral(L, "__tostring");
    lua_rawget(L, -2);
    bool yes = lua_isfunction(L, -1);
    lua_pop(L, 2);
    return yes;
}

/* ---- Tables ---- */

static bool is_identifier(const char *s, size_t len) {
    if (len == 0 || (*s >= '0' && *s <= '9')) return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

/* A key that is neither a string nor a number that JSON has: tables are not opened. */
static void put_odd_key(render *r, int index) {
    if (lua_istable(r->L, index))
        put_named(r, "table", NULL, lua_topointer(r->L, index));
    else
        render_value(r, index, NULL);
}

/* The key at `index` of the entry that is the table's `n`-th. In text an array's keys are left out. */
static void put_key(render *r, int index, int n) {
    outbuf *o = r->out;
    lua_State *L = r->L;
    size_t len = 0, shown = 0;
    const char *s = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : NULL;
    if (s != NULL) shown = out_utf8_cut(s, len, (size_t)r->limits->string);
    bool number = lua_type(L, index) == LUA_TNUMBER;
    if (r->json) {
        out_text(o, "{\"key\":");
        if (s != NULL)
            out_json_string(o, s, shown);
        else if (number && isfinite(lua_tonumber(L, index)))
            out_number(o, lua_tonumber(L, index));
        else
            put_odd_key(r, index);
        out_text(o, ",\"value\":");
        return;
    }
    if (number && lua_tonumber(L, index) == n) return;
    if (s != NULL && is_identifier(s, len)) {
        out_bytes(o, s, shown);
    } else {
        out_char(o, '[');
        put_odd_key(r, index);
        out_char(o, ']');
    }
    out_char(o, '=');
}

static void put_entries(render *r, int table) {
    lua_State *L = r->L;
    outbuf *o = r->out;
    int n = 0;
    bool more = false;
    out_text(o, r->json ? ",\"entries\":[" : "{");
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        int key = lua_gettop(L) - 1;
        if (n == r->limits->entries || render_full(r)) {
            more = true;
            lua_pop(L, 2);
            break;
        }
        if (n++ > 0) out_text(o, r->json ? "," : ", ");
        put_key(r, key, n);
        size_t len = 0;
        const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &len) : NULL;
        if (name != NULL && mask_matches(r->masks, name, len))
            put_named(r, type_name(L, key + 1), "masked", NULL);
        else
            render_value(r, key + 1, NULL);
        if (r->json) out_char(o, '}');
        lua_settop(L, key);
    }
    if (r->json)
        out_text(o, more ? "],\"more\":true}" : "]}");
    else
        out_text(o, more ? (n > 0 ? ", ...}" : "...}") : "}");
}

static void put_table(render *r, int index) {
    lua_State *L = r->L;
    const void *address = lua_topointer(L, index);
    for (int i = 0; i < r->depth; i++) {
        if (r->path[i] != address) continue;
        put_named(r, "table", "cycle", address);
        return;
    }
    if (r->depth >= r->limits->depth) {
        put_named(r, "table", r->json ? "depth" : NULL, address);
        return;
    }
    if (r->json) {
        put_type(r, "table");
        out_text(r->out, ",\"id\":\"");
        out_pointer(r->out, address);
        out_text(r->out, "\",\"length\":");
        out_integer(r->out, (long long)lua_objlen(L, index));
    }
    luaL_checkstack(L, 8, "no room to show a table");
    r->path[r->depth++] = address;
    put_entries(r, index);
    r->depth--;
}

void render_value(render *r, int index, const char *name) {
    lua_State *L = r->L;
    if (index < 0) index = lua_gettop(L) + 1 + index;
    if (name != NULL && mask_matches(r->masks, name, strlen(name))) {
        put_named(r, type_name(L, index), "masked", NULL);
        return;
    }
    if (render_full(r)) {
        put_named(r, type_name(L, index), "bytes", NULL);
        return;
    }
    int type = lua_type(L, index);
    if (r->tostring && type != LUA_TSTRING && type != LUA_TNIL && has_tostring(L, index)) {
        put_described(r, index);
        return;
    }
    switch (type) {
    case LUA_TNIL: put_word(r, "nil", "nil"); break;
    case LUA_TBOOLEAN: put_word(r, "boolean", lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNUMBER: put_number(r, lua_tonumber(L, index)); break;
    case LUA_TSTRING: put_string(r, index); break;
    case LUA_TTABLE: put_table(r, index); break;
    case LUA_TFUNCTION: put_function(r, index); break;
    default: put_named(r, type_name(L, index), NULL, lua_topointer(L, index)); break;
    }
}

void render_plain(render *r, int index) {
    lua_State *L = r->L;
    if (index < 0) index = lua_gettop(L) + 1 + index;
    if (lua_type(L, index) != LUA_TSTRING || r->json || render_full(r)) {
        render_value(r, index, NULL);
        return;
    }
    size_t len;
    const char *s = lua_tolstring(L, index, &len);
    size_t shown = out_utf8_cut(s, len, (size_t)r->limits->string);
    out_line(r->out, s, shown);
    if (shown < len) out_text(r->out, "...");
}
