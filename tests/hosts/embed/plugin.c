/* A program without Lua that opens a plug-in, which has LuaJIT with it and keeps that to itself: plugin PATH ARGUMENT... */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    union {
        void *object;
        int (*call)(int argc, char **argv);
    } plugin = {.object = NULL};
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library != NULL) plugin.object = dlsym(library, "embed_main");
    if (plugin.object == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    return plugin.call(argc - 1, argv + 1);
}
