#include "describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FF_C = 1 };

void remote_describe(target *t, const remote_vm *vm, const remote_frames *frames, size_t i, remote_text *text) {
    const remote_frame *f = &frames->list[i];
    *text = (remote_text){.what = "", .is_lua = f->func.is_lua, .c_address = f->func.c_address};
    if (f->func.ffid > FF_C) text->builtin = f->func.ffid;
    if (i + 1 < frames->n && frames->list[i + 1].calls_above)
        remote_call_name(t, vm, &frames->list[i + 1].func, frames->list[i + 1].index, text->name, &text->what);
    if (!f->func.is_lua) {
        snprintf(text->source, sizeof text->source, "=[C]");
        snprintf(text->short_source, sizeof text->short_source, "[C]");
        text->linedefined = -1;
        return;
    }
    if (!remote_source(t, &f->func, text->source, sizeof text->source)) snprintf(text->source, 3, "=?");
    remote_short_source(text->source, f->func.firstline, text->short_source);
    text->linedefined = f->func.firstline;
    text->is_main = f->func.firstline == 0 && f->func.numline != 0;
    if (f->known) text->line = remote_line(t, &f->func, f->index);
}

void remote_traceback_line(const remote_text *text, char *out, size_t size) {
    char place[REMOTE_SHORT_MAX + 32], what[REMOTE_NAME_MAX + 64];
    if (text->builtin != 0 && text->name[0] == '\0') {
        snprintf(place, sizeof place, "[builtin#%u]:", text->builtin);
    } else if (text->line > 0) {
        snprintf(place, sizeof place, "%s:%d:", text->short_source, text->line);
    } else {
        snprintf(place, sizeof place, "%s:", text->short_source);
    }
    if (text->name[0] != '\0') {
        snprintf(what, sizeof what, "in function '%s'", text->name);
    } else if (text->is_main) {
        snprintf(what, sizeof what, "in main chunk");
    } else if (!text->is_lua) {
        snprintf(what, sizeof what, "at 0x%" PRIx64, text->c_address);
    } else {
        snprintf(what, sizeof what, "in function <%s:%d>", text->short_source, text->linedefined);
    }
    snprintf(out, size, "%s %s", place, what);
}

/* ---- Values ---- */

/* lj_obj.h: the complement of a value's tag. Integers have a tag of their own in some builds. */
enum {
    TAG_NIL,
    TAG_FALSE,
    TAG_TRUE,
    TAG_LIGHT,
    TAG_STRING,
    TAG_THREAD = 6,
    TAG_FUNC = 8,
    TAG_CDATA = 10,
    TAG_TABLE,
    TAG_USERDATA,
    TAG_INTEGER
};

static void string_value(target *t, uint64_t address, char *out, size_t size) {
    enum { SHOWN = 60 };
    char text[SHOWN + 1];
    size_t len;
    if (!remote_string(t, address, text, sizeof text, &len)) {
        snprintf(out, size, "?");
    } else if (len > SHOWN) {
        snprintf(out, size, "\"%s\"... (%zu bytes)", text, len);
    } else {
        snprintf(out, size, "\"%s\"", text);
    }
}

static void value_text(target *t, uint64_t value, char *out, size_t size) {
    static const char *const names[] = {[TAG_THREAD] = "thread",
                                        [TAG_FUNC] = "function",
                                        [TAG_CDATA] = "cdata",
                                        [TAG_TABLE] = "table",
                                        [TAG_USERDATA] = "userdata"};
    int tag = vm_type_of(value);
    uint64_t address = value & VM_ADDRESS_MASK;
    double number;
    switch (tag) {
    case -1:
        memcpy(&number, &value, sizeof number);
        snprintf(out, size, "%.14g", number);
        break;
    case TAG_NIL: snprintf(out, size, "nil"); break;
    case TAG_FALSE: snprintf(out, size, "false"); break;
    case TAG_TRUE: snprintf(out, size, "true"); break;
    case TAG_LIGHT: snprintf(out, size, "light userdata"); break;
    case TAG_STRING: string_value(t, address, out, size); break;
    case TAG_INTEGER: snprintf(out, size, "%d", (int)(uint32_t)value); break;
    default:
        if (tag < (int)(sizeof names / sizeof names[0]) && names[tag] != NULL) {
            snprintf(out, size, "%s: 0x%" PRIx64, names[tag], address);
        } else {
            snprintf(out, size, "?");
        }
    }
}

bool remote_local(target *t, const remote_where *w, const remote_frame *f, uint32_t slot, char *name, char *value,
                  size_t size) {
    uint64_t word;
    if (!f->known || !remote_local_name(t, &f->func, f->index, slot, name)) return false;
    /* Compiled code keeps them in registers. */
    if (f->compiled) {
        snprintf(value, size, "(in compiled code)");
    } else if (remote_slot(t, w, f->frame + 8 * (uint64_t)slot, &word)) {
        value_text(t, word, value, size);
    } else {
        snprintf(value, size, "?");
    }
    return true;
}
