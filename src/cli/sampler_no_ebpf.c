/* Where the command was built without eBPF, it says so when it is asked for it. */
#include "sampler.h"

static sampler *no_start(target *t, remote_vms *vms, recorder *r, unsigned hz, char *why) {
    (void)t;
    (void)vms;
    (void)r;
    (void)hz;
    snprintf(why, SAMPLER_WHY_MAX, "this ljinspect was built without it (it takes clang and libbpf)");
    return NULL;
}

const sampler_kind SAMPLER_EBPF = {.name = "ebpf", .how = "eBPF", .start = no_start};
