/* Where the command was built without eBPF, it says so when it is asked for it. */
#include "sampler.h"

static sampler *no_start(target *t, remote_vms *vms, recorder *r, unsigned hz, sampler_refusal *no) {
    (void)t;
    (void)vms;
    (void)r;
    (void)hz;
    snprintf(no->why, sizeof no->why, "this ljinspect was built without it (it takes clang and libbpf)");
    return NULL;
}

const sampler_kind SAMPLER_EBPF = {.name = "ebpf", .how = "eBPF", .start = no_start};
