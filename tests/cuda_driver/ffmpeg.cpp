// What FFmpeg's frames on a card call beside the rest: copies by rows, and contexts by older names.
#include "driver.h"

#include <cstring>

#undef cuDevicePrimaryCtxRelease
#undef cuDevicePrimaryCtxReset
#undef cuDevicePrimaryCtxSetFlags

namespace {
struct Rows { uintptr_t start; size_t pitch; };

Rows rows(CUmemorytype kind, const void* host, CUdeviceptr device, size_t x, size_t y, size_t pitch) {
    uintptr_t start = kind == CU_MEMORYTYPE_HOST ? (uintptr_t)host : (uintptr_t)device;
    return {start + y * pitch + x, pitch};
}
CUresult copy_rows(const char* call, const CUDA_MEMCPY2D* how, CUstream handle) {
    size_t width = how->WidthInBytes, height = how->Height;
    if (!width || !height) return CUDA_SUCCESS;
    Rows from = rows(how->srcMemoryType, how->srcHost, how->srcDevice, how->srcXInBytes, how->srcY,
                     how->srcPitch);
    Rows to = rows(how->dstMemoryType, how->dstHost, how->dstDevice, how->dstXInBytes, how->dstY,
                   how->dstPitch);
    for (Rows side : {from, to}) {
        if (place_of(side.start, side.pitch * (height - 1) + width).kind == Kind::out_of_range) {
            violation("%s of %zu rows out of range", call, height);
            return CUDA_ERROR_INVALID_VALUE;
        }
    }
    return put(handle, call, [=] {
        for (size_t row = 0; row < height; ++row)
            memcpy((void*)(to.start + row * to.pitch), (void*)(from.start + row * from.pitch), width);
    });
}
}  // namespace

EXPORT CUresult cuMemAllocPitch_v2(
    CUdeviceptr* pointer, size_t* pitch, size_t width, size_t height, unsigned) {
    ENTER(cuMemAllocPitch);
    *pitch = (width + 511) / 512 * 512;
    return cuMemAlloc_v2(pointer, *pitch * height);
}
EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* how, CUstream handle) {
    ENTER(cuMemcpy2DAsync);
    return copy_rows("cuMemcpy2DAsync", how, handle);
}
EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* how) {
    ENTER(cuMemcpy2D);
    CUresult code = copy_rows("cuMemcpy2D", how, nullptr);
    return code ? code : cuStreamSynchronize(nullptr);
}
EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice) { return CUDA_SUCCESS; }
EXPORT CUresult cuDevicePrimaryCtxSetFlags(CUdevice, unsigned) { return CUDA_SUCCESS; }
EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned* flags, int* active) {
    *flags = CU_CTX_SCHED_BLOCKING_SYNC;
    *active = 1;
    return CUDA_SUCCESS;
}

// FFmpeg takes the driver with all of these or not at all; its frames call none of them.
#define ABSENT(name)                                                                           \
    extern "C" __attribute__((visibility("default"))) CUresult absent_##name() __asm__(#name); \
    CUresult absent_##name() { return CUDA_ERROR_NOT_SUPPORTED; }
ABSENT(cuDeviceComputeCapability) ABSENT(cuCtxCreate_v2) ABSENT(cuCtxSetLimit)
ABSENT(cuCtxDestroy_v2) ABSENT(cuMemAllocManaged) ABSENT(cuMemcpy) ABSENT(cuMemcpyHtoD_v2)
ABSENT(cuMemcpyDtoH_v2) ABSENT(cuMemcpyDtoD_v2) ABSENT(cuMemcpyDtoDAsync_v2)
ABSENT(cuStreamAddCallback) ABSENT(cuLaunchKernel) ABSENT(cuLinkCreate) ABSENT(cuLinkAddData)
ABSENT(cuLinkComplete) ABSENT(cuLinkDestroy) ABSENT(cuModuleLoadData) ABSENT(cuModuleUnload)
ABSENT(cuModuleGetFunction) ABSENT(cuModuleGetGlobal) ABSENT(cuTexObjectCreate)
ABSENT(cuTexObjectDestroy) ABSENT(cuGLGetDevices_v2) ABSENT(cuGraphicsGLRegisterImage)
ABSENT(cuGraphicsUnregisterResource) ABSENT(cuGraphicsMapResources)
ABSENT(cuGraphicsUnmapResources) ABSENT(cuGraphicsSubResourceGetMappedArray)
ABSENT(cuGraphicsResourceGetMappedPointer_v2) ABSENT(cuArrayCreate_v2) ABSENT(cuArray3DCreate_v2)
ABSENT(cuArrayDestroy)
