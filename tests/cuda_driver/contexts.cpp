// Devices, contexts, counters, and the table through which the entry points are handed out.
#include "driver.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace {
const int MOST_DEVICES = 8;
std::mutex count_mutex;
auto& counts = *new std::map<std::string, long>;  // streams outlive static objects
bool started = false;

int devices() { return std::min(setting("DEVICES", 1), MOST_DEVICES); }

const auto& ERRORS = *new std::map<int, const char*>{
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
    {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE"},
    {CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
};
}  // namespace

int setting(const char* name, int otherwise) {
    const char* value = getenv((std::string("HOSTDRIVER_") + name).c_str());
    return value ? atoi(value) : otherwise;
}
void counted(const char* name) {
    std::lock_guard<std::mutex> lock(count_mutex);
    counts[name]++;
}
void violation(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "HOSTDRIVER VIOLATION: ");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    counted("violation");
}

Context* context_of(int device) {
    static Context* contexts = [] {
        auto* made = new Context[MOST_DEVICES];
        for (int i = 0; i < MOST_DEVICES; ++i) made[i].device = i;
        return made;
    }();
    return contexts + device;
}
std::vector<Context*>& context_stack() {
    static thread_local std::vector<Context*> stack;
    return stack;
}
Context* current() { return context_stack().empty() ? nullptr : context_stack().back(); }
CUresult usable(const char* call) {
    if (!current()) {
        violation("%s with no current context in this thread", call);
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    return (CUresult)current()->sticky.load();
}

EXPORT long hostdriver_count(const char* name) {
    std::lock_guard<std::mutex> lock(count_mutex);
    auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
}
EXPORT void hostdriver_reset() {
    std::lock_guard<std::mutex> lock(count_mutex);
    counts.clear();
}
EXPORT void hostdriver_fault(int device, int code) { context_of(device)->sticky = code; }

EXPORT CUresult cuInit(unsigned) {
    started = true;
    return devices() ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}
EXPORT CUresult cuDriverGetVersion(int* version) {
    *version = setting("VERSION", 13020);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetCount(int* count) {
    if (!started) return CUDA_ERROR_NOT_INITIALIZED;
    *count = devices();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGet(CUdevice* device, int index) {
    if (index >= devices()) return CUDA_ERROR_INVALID_DEVICE;
    *device = index;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetName(char* name, int size, CUdevice) {
    snprintf(name, size, "driver in host memory");
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) {
    *bytes = 24ull << 30;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    memset(uuid, device + 1, sizeof *uuid);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
    *value = which == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? setting("MAJOR", 8)
             : which == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? setting("MINOR", 9)
                                                                     : 1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorName(CUresult code, const char** text) {
    auto found = ERRORS.find(code);
    *text = found == ERRORS.end() ? "CUDA_ERROR_UNKNOWN" : found->second;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorString(CUresult code, const char** text) { return cuGetErrorName(code, text); }

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    *context = (CUcontext)context_of(device);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
EXPORT CUresult cuCtxGetCurrent(CUcontext* context) {
    *context = (CUcontext)current();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
    auto& stack = context_stack();
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back((Context*)context);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
    context_stack().push_back((Context*)context);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* context) {
    auto& stack = context_stack();
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = (CUcontext)stack.back();
    stack.pop_back();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
    ENTER(cuCtxGetDevice);
    *device = current()->device;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    ENTER(cuCtxGetStreamPriorityRange);
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
}
// NVRTC loads once this says that there is none.
EXPORT CUresult cuGetExportTable(const void** table, const CUuuid*) {
    if (table) *table = nullptr;
    return CUDA_ERROR_NOT_FOUND;
}
EXPORT CUresult cuGetProcAddress_v2(
    const char* name, void** found, int, cuuint64_t, CUdriverProcAddressQueryResult* result) {
    *found = entry_point(name);
    if (result)
        *result = *found ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *found ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
