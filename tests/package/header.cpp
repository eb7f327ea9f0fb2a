// The header from C++, with what a C++ host would do.
#include <ljinspect.h>

#include <string>

static int keep(ljinspect_hit *hit, void *userdata) {
    static_cast<std::string *>(userdata)->append(ljinspect_hit_key(hit));
    return LJINSPECT_KEEP;
}

extern "C" int hook_from_cpp(lua_State *L);

// Returns the number of hooks after setting one and removing it.
int hook_from_cpp(lua_State *L) {
    std::string keys;
    ljinspect_filter filter = ljinspect_filter();
    filter.kind = LJINSPECT_FILTER_C;
    filter.call = keep;
    filter.userdata = &keys;
    int64_t id = ljinspect_set_hook(L, "nowhere.lua", 1, 0, &filter);
    if (id < 0) return static_cast<int>(id);
    if (ljinspect_unset_id(L, id) != 1) return -100;
    return ljinspect_hooks(L, NULL, NULL);
}
