#include "snapshot.h"

#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "log.h"

/* ---- Options ---- */

static bool take(int *to, int asked, int usual, int most) {
    *to = asked != 0 ? asked : usual;
    return asked >= 0 && asked <= most;
}

int snapshot_read(snapshot_options *options, const ljinspect_capture *asked, const char **why) {
    static const ljinspect_capture usual = {.what = 0};
    const ljinspect_capture *a = asked != NULL ? asked : &usual;
    *options = (snapshot_options){.what = a->what};
    if (!mask_init(&options->masks)) return LJINSPECT_ERR_NOMEM;
    const struct {
        const char *why;
        int *to, asked, usual, most;
    } numbers[] = {
        {"capture.stack: 0 to 200 expected", &options->stack, a->stack, 0, SNAPSHOT_STACK_MAX},
        {"capture.stack_locals: 0 to 200 expected", &options->stack_locals, a->stack_locals, 0, SNAPSHOT_STACK_MAX},
        {"capture.depth: 1 to 20 expected", &options->limits.depth, a->depth, asked != NULL ? 3 : 1, RENDER_DEPTH_MAX},
        {"capture.entries: 1 to 1000 expected", &options->limits.entries, a->entries, 20, RENDER_ENTRIES_MAX},
        {"capture.string: 1 to 65536 expected", &options->limits.string, a->string, 200, RENDER_STRING_MAX},
        {"capture.bytes: 1 to 1048576 expected", &options->limits.bytes, a->bytes, 16384, RENDER_BYTES_MAX},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (take(numbers[i].to, numbers[i].asked, numbers[i].usual, numbers[i].most)) continue;
        *why = numbers[i].why;
        return LJINSPECT_ERR_ARGUMENT;
    }
    for (const char *const *word = a->masks; word != NULL && *word != NULL; word++) {
        *why = "capture.mask: a word is empty";
        if (**word == '\0') return LJINSPECT_ERR_ARGUMENT;
        if (!mask_add(&options->masks, *word)) return LJINSPECT_ERR_NOMEM;
    }
    return 0;
}

void snapshot_free(snapshot_options *options) {
    mask_free(&options->masks);
}

/* ---- Lists of variables ---- */

/* One list of the snapshot, opened by its first member. */
typedef struct list {
    render *render;
    const char *title;
    int n;
} list;

/* What follows stands apart from what is there, in text. */
static void put_space(outbuf *o) {
    if (o->len == 0) return;
    char last = o->data[o->len - 1];
    if (last != ' ' && last != '[') out_char(o, ' ');
}

static void open_list(const list *l) {
    outbuf *o = l->render->out;
    if (l->render->json) {
        out_text(o, ",\"");
        out_text(o, l->title);
        out_text(o, "\":[");
    } else {
        put_space(o);
        out_text(o, l->title);
        out_char(o, '(');
    }
}

static void close_list(const list *l) {
    out_char(l->render->out, l->render->json ? ']' : ')');
}

static void separate(list *l) {
    if (l->n++ > 0) out_text(l->render->out, l->render->json ? "," : ", ");
}

/* The variable on top of the stack, which is popped; one without a name is passed over. */
static void put_variable(list *l, const char *name) {
    render *r = l->render;
    if (*name != '(' && *name != '\0') {
        separate(l);
        if (r->json) out_text(r->out, "{\"name\":");
        if (r->json)
            out_json_string(r->out, name, strlen(name));
        else
            out_word(r->out, name);
        out_text(r->out, r->json ? ",\"value\":" : "=");
        render_value(r, -1, name);
        if (r->json) out_char(r->out, '}');
    }
    lua_pop(r->L, 1);
}

static void put_locals(render *r, const lua_Debug *frame, const char *title) {
    list l = {.render = r, .title = title};
    const char *name;
    open_list(&l);
    for (int i = 1; (name = lua_getlocal(r->L, frame, i)) != NULL; i++) {
        bool past = strcmp(name, "(*temporary)") == 0;
        put_variable(&l, name);
        if (past) break;
    }
    close_list(&l);
}

static void put_upvalues(render *r, const lua_Debug *frame) {
    list l = {.render = r, .title = "upvalues"};
    lua_Debug ar = *frame;
    const char *name;
    open_list(&l);
    lua_getinfo(r->L, "f", &ar);
    int function = lua_gettop(r->L);
    for (int i = 1; (name = lua_getupvalue(r->L, function, i)) != NULL; i++) put_variable(&l, name);
    lua_pop(r->L, 1);
    close_list(&l);
}

static void put_varargs(render *r, const lua_Debug *frame) {
    list l = {.render = r, .title = "varargs"};
    open_list(&l);
    for (int i = 1; lua_getlocal(r->L, frame, -i) != NULL; i++) {
        bool enough = i > r->limits->entries || render_full(r);
        separate(&l);
        if (enough)
            out_text(r->out, r->json ? "{\"type\":\"nil\",\"cut\":\"entries\"}" : "...");
        else
            render_value(r, -1, NULL);
        lua_pop(r->L, 1);
        if (enough) break;
    }
    close_list(&l);
}

/* ---- Returns ---- */

/* The values: of a function whose name is masked they are, too. */
static void put_returns(render *r, ljinspect_hit *hit, const char *function) {
    list l = {.render = r, .title = "returns"};
    lua_Debug ar = hit->frame;
    open_list(&l);
    if (function == NULL && lua_getinfo(r->L, "n", &ar)) function = ar.name;
    for (int i = 1; ljinspect_hit_return(hit, i); i++) {
        bool enough = i > r->limits->entries || render_full(r);
        separate(&l);
        if (enough)
            out_text(r->out, r->json ? "{\"type\":\"nil\",\"cut\":\"entries\"}" : "...");
        else
            render_value(r, -1, function);
        lua_pop(r->L, 1);
        if (enough) break;
    }
    close_list(&l);
}

/* What else is known of a return: in text behind the values. */
static void put_leaving(render *r, const ljinspect_hit *hit) {
    outbuf *o = r->out;
    int tail_call;
    double us;
    if (!ljinspect_hit_leaving(hit, NULL, &tail_call, &us)) return;
    if (r->json) {
        out_text(o, tail_call ? ",\"tail_call\":true" : ",\"tail_call\":false");
        if (us >= 0) out_text(o, ",\"duration_us\":");
        if (us >= 0) out_number(o, us);
        return;
    }
    if (tail_call) {
        put_space(o);
        out_text(o, "tail call");
    }
    if (us < 0) return;
    put_space(o);
    out_text(o, "after ");
    out_number(o, us);
    out_text(o, " us");
}

/* ---- The stack ---- */

static void put_frame_name(render *r, const lua_Debug *ar, int line) {
    outbuf *o = r->out;
    if (r->json) {
        out_text(o, "\"what\":");
        out_json_string(o, ar->what, strlen(ar->what));
        out_text(o, ",\"source\":");
        out_json_string(o, ar->short_src, strlen(ar->short_src));
        if (line > 0) {
            out_text(o, ",\"line\":");
            out_integer(o, line);
        }
        if (ar->name != NULL) {
            out_text(o, ",\"name\":");
            out_json_string(o, ar->name, strlen(ar->name));
        }
        return;
    }
    out_word(o, ar->short_src);
    if (line > 0) {
        out_char(o, ':');
        out_integer(o, line);
    }
    if (ar->name == NULL) return;
    out_text(o, " (");
    out_word(o, ar->name);
    out_char(o, ')');
}

/* Level 1 is the hooked function. */
static void put_stack(render *r, const snapshot_options *options, int line) {
    list l = {.render = r, .title = "stack"};
    lua_Debug ar;
    open_list(&l);
    for (int i = 1; i <= options->stack && !render_full(r) && lua_getstack(r->L, i, &ar); i++) {
        lua_getinfo(r->L, "nSl", &ar);
        separate(&l);
        if (r->json) out_char(r->out, '{');
        put_frame_name(r, &ar, i == 1 ? line : ar.currentline);
        if (i <= options->stack_locals && *ar.what != 'C') {
            if (!r->json) out_text(r->out, " [");
            put_locals(r, &ar, "locals");
            if (!r->json) out_char(r->out, ']');
        }
        if (r->json) out_char(r->out, '}');
    }
    close_list(&l);
}

/* ---- The line ---- */

void snapshot_put_head(const snapshot_head *head, const hook *h, outbuf *o) {
    out_text(o, "{\"v\":1,\"time\":\"");
    out_time(o, head->us);
    out_text(o, "\",\"pid\":");
    out_integer(o, getpid());
    out_text(o, ",\"key\":");
    out_json_string(o, h->key, strlen(h->key));
    out_text(o, ",\"id\":");
    out_integer(o, h->id);
    out_text(o, ",\"level\":\"");
    out_text(o, log_level_name(head->level));
    out_char(o, '"');
    if (head->tag == NULL) return;
    out_text(o, ",\"tag\":");
    out_json_string(o, head->tag, strlen(head->tag));
}

static void put_head(render *r, ljinspect_hit *hit, const snapshot_head *head) {
    outbuf *o = r->out;
    lua_State *L = r->L;
    lua_Debug ar = hit->frame;
    lua_getinfo(L, "nS", &ar);
    snapshot_put_head(head, hit->hook, o);
    out_text(o, ",\"hit\":");
    out_integer(o, (long long)hit->hook->hits);
    out_text(o, ",\"thread\":\"");
    int main = lua_pushthread(L);
    lua_pop(L, 1);
    if (main)
        out_text(o, "main");
    else
        out_pointer(o, (const void *)L);
    out_text(o, "\",\"function\":{");
    put_frame_name(r, &ar, capture_line(hit));
    out_char(o, '}');
    put_leaving(r, hit);
    if (head->message == NULL) return;
    out_text(o, ",\"message\":");
    out_json_string(o, head->message, head->message_len);
}

void snapshot_render(const snapshot_options *options, ljinspect_hit *hit, const snapshot_head *head, outbuf *o) {
    render r = {.L = hit->L,
                .out = o,
                .limits = &options->limits,
                .masks = &options->masks,
                .json = (options->what & LJINSPECT_CAPTURE_JSON) != 0,
                .tostring = (options->what & LJINSPECT_CAPTURE_TOSTRING) != 0};
    luaL_checkstack(hit->L, 8, "no room for a snapshot");
    if (r.json)
        put_head(&r, hit, head);
    else if (head->message != NULL)
        out_bytes(o, head->message, head->message_len);
    if ((options->what & LJINSPECT_CAPTURE_RETURNS) != 0) put_returns(&r, hit, head->function);
    if (!r.json) put_leaving(&r, hit);
    if ((options->what & LJINSPECT_CAPTURE_LOCALS) != 0) put_locals(&r, &hit->frame, "locals");
    if ((options->what & LJINSPECT_CAPTURE_UPVALUES) != 0) put_upvalues(&r, &hit->frame);
    if ((options->what & LJINSPECT_CAPTURE_VARARGS) != 0) put_varargs(&r, &hit->frame);
    if (options->stack > 0) put_stack(&r, options, capture_line(hit));
    if (r.json) out_char(o, '}');
}
