// Device and pinned memory, copies and fills.
#include "driver.h"

#include <sys/mman.h>

#include <cstring>
#include <map>

namespace {
const size_t PAGE = 4096;
struct Allocation { size_t size, mapped; Kind kind; int device; };
std::mutex mutex;
auto& allocations = *new std::map<uintptr_t, Allocation>;  // streams outlive the process's end
size_t on_device = 0, pinned = 0;

size_t& total(Kind kind) { return kind == Kind::device ? on_device : pinned; }

uintptr_t take(size_t size, Kind kind, int device) {
    size_t mapped = (size + PAGE - 1) / PAGE * PAGE + PAGE;
    void* found = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return 0;
    mprotect((char*)found + mapped - PAGE, PAGE, PROT_NONE);
    memset(found, 0xAA, size);  // what was not written is seen
    std::lock_guard<std::mutex> lock(mutex);
    allocations[(uintptr_t)found] = {size, mapped, kind, device};
    total(kind) += size;
    return (uintptr_t)found;
}
CUresult give_back(uintptr_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = allocations.find(address);
    if (found == allocations.end()) return CUDA_ERROR_INVALID_VALUE;
    total(found->second.kind) -= found->second.size;
    munmap((void*)address, found->second.mapped);
    allocations.erase(found);
    return CUDA_SUCCESS;
}
CUresult copy(const char* call, uintptr_t target, uintptr_t source, size_t size, CUstream handle) {
    Place there = place_of(target, size), here = place_of(source, size);
    if (there.kind == Kind::out_of_range || here.kind == Kind::out_of_range) {
        violation("%s of %zu bytes out of range", call, size);
        return CUDA_ERROR_INVALID_VALUE;
    }
    bool pageable = there.kind == Kind::pageable || here.kind == Kind::pageable;
    if (pageable && stream_of(handle)->capture) violation("%s of pageable memory in a capture", call);
    return put(handle, call, [=] { memcpy((void*)target, (void*)source, size); });
}
}  // namespace

Place place_of(uintptr_t address, size_t size) {
    std::lock_guard<std::mutex> lock(mutex);
    auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return {Kind::pageable, -1};
    auto& [start, found] = *--after;
    if (address >= start + found.mapped) return {Kind::pageable, -1};
    if (address + size > start + found.size) return {Kind::out_of_range, found.device};
    return {found.kind, found.device};
}
EXPORT size_t hostdriver_live() {
    std::lock_guard<std::mutex> lock(mutex);
    return on_device + pinned;
}

EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* all) {
    ENTER(cuMemGetInfo);
    *all = 24ull << 30;
    *free = *all - on_device;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t size) {
    ENTER(cuMemAlloc);
    *pointer = take(size, Kind::device, current()->device);
    return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) {
    counted("cuMemFree");
    return give_back(pointer);
}
EXPORT CUresult cuMemAllocHost_v2(void** pointer, size_t size) {
    ENTER(cuMemAllocHost);
    *pointer = (void*)take(size, Kind::pinned, current()->device);
    return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
EXPORT CUresult cuMemFreeHost(void* pointer) {
    counted("cuMemFreeHost");
    return give_back((uintptr_t)pointer);
}
// A pool is known by the number of its card.
EXPORT CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice device) {
    *pool = (CUmemoryPool)(uintptr_t)(0x1000 + device);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice device) {
    return cuDeviceGetMemPool(pool, device);
}
EXPORT CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* properties) {
    return cuDeviceGetMemPool(pool, properties->location.id);
}
EXPORT CUresult cuMemPoolDestroy(CUmemoryPool) { return CUDA_SUCCESS; }
EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void*) { return CUDA_SUCCESS; }
EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool, CUmemPool_attribute which, void* value) {
    if (which < CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) *(int*)value = 1;
    else *(uint64_t*)value = 1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemPoolSetAccess(CUmemoryPool, const CUmemAccessDesc*, size_t) { return CUDA_SUCCESS; }
EXPORT CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool, CUmemLocation*) {
    *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr* pointer, size_t size, CUmemoryPool pool, CUstream s) {
    counted("cuMemAllocFromPoolAsync");
    if (stream_of(s)->capture) violation("allocation while the stream captures");
    *pointer = take(size, Kind::device, (int)((uintptr_t)pool - 0x1000));
    return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
EXPORT CUresult cuMemAllocAsync(CUdeviceptr* pointer, size_t size, CUstream s) {
    ENTER(cuMemAllocAsync);
    return cuMemAllocFromPoolAsync(pointer, size, (CUmemoryPool)(uintptr_t)(0x1000 + current()->device), s);
}
EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream s) {
    counted("cuMemFreeAsync");
    stream_of(s)->put([pointer] { give_back(pointer); });
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t size, CUstream s) {
    ENTER(cuMemcpyAsync);
    return copy("cuMemcpyAsync", target, source, size, s);
}
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t size, CUstream s) {
    ENTER(cuMemcpyHtoDAsync);
    return copy("cuMemcpyHtoDAsync", target, (uintptr_t)source, size, s);
}
EXPORT CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t size, CUstream s) {
    ENTER(cuMemcpyDtoHAsync);
    return copy("cuMemcpyDtoHAsync", (uintptr_t)target, source, size, s);
}
EXPORT CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t size, CUstream s) {
    ENTER(cuMemsetD8Async);
    Kind kind = place_of(target, size).kind;
    if (kind != Kind::device && kind != Kind::pinned) {
        violation("cuMemsetD8Async out of range");
        return CUDA_ERROR_INVALID_VALUE;
    }
    return put(s, "cuMemsetD8Async", [=] { memset((void*)target, value, size); });
}
EXPORT CUresult cuPointerGetAttributes(
    unsigned count, CUpointer_attribute* which, void** values, CUdeviceptr address) {
    Place place = place_of(address, 1);
    for (unsigned i = 0; i < count; ++i) switch ((int)which[i]) {
            case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
                *(unsigned*)values[i] = place.kind == Kind::device   ? CU_MEMORYTYPE_DEVICE
                                        : place.kind == Kind::pinned ? CU_MEMORYTYPE_HOST
                                                                     : 0;
                break;
            case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(int*)values[i] = 0; break;
            case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int*)values[i] = place.device; break;
            default: violation("pointer attribute %d is not known", (int)which[i]);
        }
    return CUDA_SUCCESS;
}
EXPORT CUresult cuPointerGetAttribute(void* value, CUpointer_attribute which, CUdeviceptr address) {
    return cuPointerGetAttributes(1, &which, &value, address);
}
