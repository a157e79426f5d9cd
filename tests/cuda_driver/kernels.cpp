// The project's own kernels: host builds of their sources, found by name, run block by block.
#include "driver.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace {
struct Index { int x, y, z; };
struct Kernel {
    std::string name;
    std::string types;  // of its parameters: p an address, i 32 bits, f a frame's format by value
    void* run;
    void (*set_block)(Index, Index);
};
std::mutex running;  // the host builds keep the block's number in a variable of theirs
const int MOST_PARAMETERS = 12;

std::vector<std::string> listed(const char* variable) {
    const char* text = getenv(variable);
    std::stringstream stream(text ? text : "");
    std::vector<std::string> found;
    for (std::string item; std::getline(stream, item, ':');) found.push_back(item);
    return found;
}
const std::vector<void*>& builds() {
    static const std::vector<void*> opened = [] {
        std::vector<void*> made;
        for (auto& path : listed("HOSTDRIVER_KERNELS")) {
            void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
            if (library) made.push_back(library);
            else fprintf(stderr, "%s\n", dlerror());
        }
        return made;
    }();
    return opened;
}
// HOSTDRIVER_PARAMETERS holds NAME=TYPES; the longest NAME that a kernel's name begins with counts.
std::string types_of(const std::string& kernel) {
    std::string best, types;
    for (auto& item : listed("HOSTDRIVER_PARAMETERS")) {
        std::string name = item.substr(0, item.find('='));
        if (kernel.rfind(name, 0) == 0 && name.size() > best.size()) {
            best = name;
            types = item.substr(name.size() + 1);
        }
    }
    return types;
}
struct Format { unsigned char bytes[FORMAT_BYTES]; };
size_t width_of(char type) { return type == 'p' ? 8 : type == 'i' ? 4 : FORMAT_BYTES; }

// Addresses and integers fill the registers from the left, wherever the format stands, which goes to
// the stack; further arguments than a kernel has are not looked at.
using WithFormat = void (*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                            Format, uintptr_t, uintptr_t, uintptr_t);
using Function = void (*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                          uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);
}  // namespace

EXPORT CUresult cuLibraryLoadData(
    CUlibrary* library, const void*, CUjit_option*, void**, unsigned, CUlibraryOption*, void**, unsigned) {
    counted("cuLibraryLoadData");
    *library = (CUlibrary) new int;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLibraryUnload(CUlibrary library) {
    delete (int*)library;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary, const char* name) {
    for (void* build : builds())
        if (void* run = dlsym(build, name)) {
            auto set_block = (void (*)(Index, Index))dlsym(build, "set_block");
            *kernel = (CUkernel) new Kernel{name, types_of(name), run, set_block};
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}
EXPORT CUresult cuKernelGetAttribute(int* value, CUfunction_attribute, CUkernel, CUdevice) {
    *value = 32;  // made up
    return CUDA_SUCCESS;
}
EXPORT CUresult cuKernelGetParamInfo(CUkernel kernel, size_t wanted, size_t* offset, size_t* size) {
    const std::string& types = ((Kernel*)kernel)->types;
    if (wanted >= types.size()) return CUDA_ERROR_INVALID_VALUE;
    size_t at = 0;
    for (size_t i = 0;; ++i) {
        size_t width = width_of(types[i]), alignment = types[i] == 'p' ? 8 : 4;
        at = (at + alignment - 1) / alignment * alignment;
        if (i == wanted) {
            if (offset) *offset = at;
            if (size) *size = width;
            return CUDA_SUCCESS;
        }
        at += width;
    }
}
EXPORT CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
    *function = (CUfunction)kernel;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** given, void**) {
    ENTER(cuLaunchKernelEx);
    auto* kernel = (Kernel*)function;
    Index grid{(int)config->gridDimX, (int)config->gridDimY, (int)config->gridDimZ};
    if (grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.y > 65535 || grid.z > 65535 ||
        config->blockDimX != 256) {
        violation("%s: grid %d,%d,%d block %u", kernel->name.c_str(), grid.x, grid.y, grid.z, config->blockDimX);
        return CUDA_ERROR_INVALID_VALUE;
    }
    std::vector<uintptr_t> a;
    Format format{};
    for (size_t i = 0; i < kernel->types.size(); ++i) {
        char type = kernel->types[i];
        if (type == 'f') memcpy(&format, given[i], FORMAT_BYTES);
        else memcpy(&a.emplace_back(0), given[i], width_of(type));
        if (type != 'p') continue;
        Place place = place_of(a.back(), 1);
        if (place.kind == Kind::pageable || place.kind == Kind::out_of_range ||
            (place.kind == Kind::device && place.device != current()->device)) {
            violation("%s: argument %zu is no memory of this card", kernel->name.c_str(), i);
            return CUDA_ERROR_ILLEGAL_ADDRESS;
        }
    }
    bool formatted = kernel->types.find('f') != std::string::npos;
    a.resize(MOST_PARAMETERS);
    return put(config->hStream, kernel->name.c_str(), [=] {
        std::lock_guard<std::mutex> lock(running);
        for (int z = 0; z < grid.z; ++z)
            for (int y = 0; y < grid.y; ++y)
                for (int x = 0; x < grid.x; ++x) {
                    kernel->set_block({x, y, z}, grid);
                    if (formatted)
                        ((WithFormat)kernel->run)(
                            a[0], a[1], a[2], a[3], a[4], a[5], format, a[6], a[7], a[8]);
                    else
                        ((Function)kernel->run)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7],
                                                a[8], a[9], a[10], a[11]);
                }
    });
}
