// One source for two machines: NVRTC (or nvcc) compiles the kernels for the GPU, a host compiler for
// the tests.
// On the host a kernel is a function that runs one block; FOR_THREADS then is a loop, and the end of
// that loop is the barrier. So shared memory is filled in one FOR_THREADS and read in the next.
#pragma once

constexpr int BLOCK = 256;  // threads of every block

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#include <cuda_fp16.h>

#define INLINE __device__ __forceinline__
#define KERNEL extern "C" __global__ void __launch_bounds__(256)
#define SHARED __shared__
// A structure that is passed by value and read where the launch put it, in constant memory.
#define BY_VALUE __grid_constant__
#define FOR_THREADS(t) for (int t = threadIdx.x, once = 1; once; once = 0)
#define BARRIER() __syncthreads()

INLINE float from_half(unsigned short bits) { return __half2float(__ushort_as_half(bits)); }
INLINE unsigned short to_half(float value) { return __half_as_ushort(__float2half_rn(value)); }

#else

#include <cmath>
#include <cstring>

#define INLINE static inline
#define KERNEL extern "C" void
#define SHARED
#define BY_VALUE
#define FOR_THREADS(t) for (int t = 0; t < BLOCK; ++t)
#define BARRIER()

struct Index {
    int x, y, z;
};
static Index blockIdx, gridDim;

extern "C" void set_block(Index block, Index grid) {
    blockIdx = block;
    gridDim = grid;
}

using std::floor;

INLINE float bits_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE unsigned float_as_bits(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float from_half(unsigned short half) {
    const unsigned sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    const float finite = bits_as_float(rest << 13) * 5.192296858534828e33f;  // 2^112: moves the bias
    const float value = rest < 0x7c00u ? finite : bits_as_float(0x7f800000u | (rest << 13));
    return bits_as_float(float_as_bits(value) | sign);
}

// Round to nearest even for every finite value; what is too large becomes infinity.
INLINE unsigned short to_half(float value) {
    const unsigned bits = float_as_bits(value), sign = (bits >> 16) & 0x8000u;
    const unsigned size = bits & 0x7fffffffu;
    const unsigned normal = (size - 0x38000000u + 0xfffu + ((size >> 13) & 1u)) >> 13;
    const unsigned tiny = float_as_bits(bits_as_float(size) + 0.5f) - 0x3f000000u;
    const unsigned finite = size < 0x38800000u ? tiny : normal;
    const unsigned nan = size > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return static_cast<unsigned short>(sign | (size >= 0x477ff000u ? nan : finite));
}

#endif

INLINE float load_value(const float* values, long long at) { return values[at]; }
INLINE float load_value(const unsigned short* values, long long at) { return from_half(values[at]); }
INLINE void store_value(float* values, long long at, float value) { values[at] = value; }
INLINE void store_value(unsigned short* values, long long at, float value) {
    values[at] = to_half(value);
}

INLINE int clamp(int value, int low, int high) {
    return value < low ? low : (value > high ? high : value);
}

// fmaxf and fminf pick the number when the other is NaN: NaN becomes `low`.
INLINE float clamp(float value, float low, float high) { return fminf(fmaxf(value, low), high); }

INLINE bool is_finite(float value) { return fabsf(value) <= 3.402823466e38f; }

// Adding and taking away 1.5 * 2^23 rounds what is below 2^22 half to even.
INLINE float rounded(float value) { return (value + 12582912.0f) - 12582912.0f; }

// The level 0 to 255 of a value of the network's range, -1 to 1; NaN becomes 0.
INLINE unsigned char level_of(float value) {
    return static_cast<unsigned char>(rounded((clamp(value, -1.0f, 1.0f) + 1.0f) * 0.5f * 255.0f));
}
