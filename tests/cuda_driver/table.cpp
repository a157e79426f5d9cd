// Where cuda.bindings looks entry points up: names without the suffix of their version.
#include "driver.h"

#include <dlfcn.h>

void* entry_point(const char* name) {
    // cuda.h renames some calls to a version; the newest that this driver has is the one meant.
    for (const char* suffix : {"_v3", "_v2", ""}) {
        std::string symbol = std::string(name) + suffix;
        Dl_info here;
        static void* self = [&] {
            dladdr((void*)&entry_point, &here);
            return dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        }();
        if (void* found = dlsym(self, symbol.c_str())) return found;
    }
    return nullptr;
}
