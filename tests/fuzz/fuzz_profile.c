/*
 * A profile: bytes that say which frames there are and which stacks were seen how often. What is written of it, in each
 * format, is what it says, read by a reader of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/cli/profile.h"
#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

typedef struct input {
    const uint8_t *at, *end;
} input;

static unsigned byte(input *in) {
    return in->at < in->end ? *in->at++ : 0;
}

/* A text; long ones are made of short ones. */
static void text(input *in, char *out, size_t size) {
    size_t len = byte(in), times = 1 + (len >= 240 ? byte(in) % 16 : 0), n = 0;
    if (len > (size_t)(in->end - in->at)) len = (size_t)(in->end - in->at);
    for (; times > 0; times--)
        for (size_t i = 0; i < len && n + 1 < size; i++)
            if (in->at[i] != '\0') out[n++] = (char)in->at[i];
    out[n] = '\0';
    in->at += len;
}

static uint32_t frame(input *in, profile *p) {
    char where[3000], name[3000];
    unsigned kind = byte(in);
    if ((kind & 0x80) != 0 && p->n_frames > 0) return kind % 0x80 % (uint32_t)p->n_frames;
    text(in, where, sizeof where);
    text(in, name, sizeof name);
    uint32_t id = profile_frame_id(p, (frame_kind)(kind % 4), where, name);
    if (id == UINT32_MAX) abort();
    return id;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    input in = {.at = bytes, .end = bytes + size};
    uint32_t stack[64];
    profile p;
    if (!profile_init(&p)) abort();
    p.seconds_a_sample = byte(&in) / 1000.0;
    snprintf(p.title, sizeof p.title, "a profile");
    while (in.at < in.end) {
        size_t n = byte(&in) % 64;
        for (size_t i = 0; i < n; i++) stack[i] = frame(&in, &p);
        uint64_t count = (uint64_t)1 << byte(&in) % 40;
        if (n > 0 && !profile_add(&p, stack, n, count)) break;
    }
    if (p.samples > 0) report_check_profile(&p);
    profile_free(&p);
    return 0;
}
