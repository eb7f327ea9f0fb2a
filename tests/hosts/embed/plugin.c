/* A program without Lua that opens a plug-in, which has LuaJIT with it and keeps that to itself:
 * plugin [-TIMES] PATH ARGUMENT..., which opens and closes it so often. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv) {
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
    int status = plugin.call(argc - 1, argv + 1);
    dlclose(library);
    return status;
}

int main(int argc, char **argv) {
    int times = argc > 1 && argv[1][0] == '-' ? atoi(argv[1] + 1) : 0;
    if (times == 0) return run(argc, argv);
    for (int i = 1; i < times; i++)
        if (run(argc - 1, argv + 1) != 0) return 1;
    return run(argc - 1, argv + 1);
}
