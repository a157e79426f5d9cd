// The arithmetic of PTX's instructions, by its ISA: single rounding, saturation, NaN, shifts that
// clamp.
#pragma once
#include "memory.hpp"

template <class T>
static T load(u8* p) {
    T v;
    memcpy(&v, p, sizeof v);
    return v;
}
template <class T>
static void save(u8* p, T v) {
    memcpy(p, &v, sizeof v);
}
template <class T, class R>
static T as(R r) {
    T v{};
    memcpy(&v, &r, sizeof(T) < sizeof(R) ? sizeof(T) : sizeof(R));
    return v;
}
// a register widened to T by its bits: the low part is kept, sign extension belongs to the
// instruction's type
template <class R, class T>
static void put(R& r, T v) {
    R n = 0;
    memcpy(&n, &v, sizeof(T) < sizeof(R) ? sizeof(T) : sizeof(R));
    r = n;
}
static f32 pmax(f32 a, f32 b) {
    if (a != a) return b != b ? as<f32>(u32(0x7fffffff)) : b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a > b ? a : b;
}
static f32 pmin(f32 a, f32 b) {
    if (a != a) return b != b ? as<f32>(u32(0x7fffffff)) : b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
}
template <class T>
static T pmax(T a, T b) {
    return a > b ? a : b;
}
template <class T>
static T pmin(T a, T b) {
    return a < b ? a : b;
}
static f32 sat(f32 v) {
    return v != v ? 0.f : v <= 0.f ? 0.f : v > 1.f ? 1.f : v;
}
static f32 ftz(f32 v) {
    return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.f, v) : v;
}
template <class T>
static T to_int(f64 v) {
    if (v != v) return 0;
    const f64 low = (f64)std::numeric_limits<T>::min(), high = (f64)std::numeric_limits<T>::max();
    if (v <= low) return std::numeric_limits<T>::min();
    if (v >= high) return std::numeric_limits<T>::max();
    return (T)v;
}
static f32 __attribute__((noinline)) fused(f32 a, f32 b, f32 c, int mode) {
    volatile f32 x = a, y = b, z = c;
    fesetround(mode);
    volatile f32 r = std::fma((f32)x, (f32)y, (f32)z);
    fesetround(FE_TONEAREST);
    return r;
}
static f32 from_half(u16 h) {
    u32 s = (h & 0x8000u) << 16, r = h & 0x7fffu;
    f32 v = r < 0x7c00u ? std::ldexp((f32)(r & 0x3ff) + (r >> 10 ? 1024.f : 0.f),
                                     (r >> 10 ? (int)(r >> 10) : 1) - 25)
                        : as<f32>(0x7f800000u | (r << 13));
    return as<f32>(as<u32>(v) | s);
}
static u16 to_half(
    f32 v,
    bool zero) {  // by the definition: the nearest half, ties to the even one; or towards zero
    if (v != v) return 0x7fff;
    u16 s = std::signbit(v) ? 0x8000 : 0;
    f64 a = std::fabs((f64)v);
    if (a >= (zero ? INFINITY : 65520.0)) return s | 0x7c00;
    if (zero && a > 65504.0) return s | 0x7bff;
    int e;
    std::frexp(a, &e);
    f64 unit = std::ldexp(1.0, std::max(e - 11, -24));
    f64 n = (zero ? std::floor(a / unit) : std::nearbyint(a / unit)) * unit;
    if (n == 0) return s;
    std::frexp(n, &e);
    if (e < -13) return s | (u16)(n / std::ldexp(1.0, -24));
    return s | (u16)((e + 14) << 10) | (u16)(n / std::ldexp(1.0, e - 11) - 1024);
}
template <class T>
static T divide(T a, T b, int at) {
    if (b == 0) {
        complain("integer division by zero", at, 0, 0);
        return (T)-1;
    }
    if (b == (T)-1) return (T)(0 - (u64)a);
    return a / b;
}
template <class T>
static T modulo(T a, T b, int at) {
    if (b == 0) {
        complain("integer modulo by zero", at, 0, 0);
        return a;
    }
    if (b == (T)-1) return 0;
    return a % b;
}
template <class T>
static T shl(T a, u32 n) {
    return n >= sizeof(T) * 8 ? 0 : (T)(a << n);
}
template <class T>
static T shr(T a, u32 n) {
    return n >= sizeof(T) * 8 ? (a < 0 ? (T)-1 : (T)0) : (T)(a >> n);
}
