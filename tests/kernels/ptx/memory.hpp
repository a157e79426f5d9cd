// What a launch may touch, and what is said of it when it touches more: bounds, alignment, races.
#pragma once
#include <cstdint>
#include <cstring>
#include <cstdio>
#include <cmath>
#include <cfenv>
#include <vector>
#include <map>
#include <algorithm>
#include <limits>
#include <utility>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef float f32;
typedef double f64;
struct Buffer {
    u64 base, size;
    u32 writable;
    u32* writer;
    u32* reader;
};
struct Access {
    u32 at;
    u16 size;
    u8 kind;
    u64 address;
};  // kind: 0 ld, 1 st, 2 ld.shared, 3 st.shared
struct Kernel {
    const char* name;
    int (*run)(void*, int);  // registers, where to go on; gives the next barrier, or -1 at the end
    int shared_bytes, barriers, register_bytes;
};
struct World {
    Buffer* buffers;
    int count;
    u64* args;
    u32 grid[3], block[3];
    int stats;
    char* text;
    size_t room, used;
    long errors;
    std::vector<u8> shared;
    std::vector<u32> swriter, sreader;
    std::vector<u8> swritten;
    std::vector<std::vector<Access>> log;
    u64* totals;  // per warp statistics
};
static World* W;
static u32 ctaid[3], tid[3], me, local_me;
static void complain(const char* what, int at, u64 address, int size) {
    ++W->errors;
    if (W->used + 200 < W->room)
        W->used +=
            snprintf(W->text + W->used, W->room - W->used,
                     "%s: PTX line %d, address %llx (%d bytes), block %u,%u,%u thread %u\n", what,
                     at, (unsigned long long)address, size, ctaid[0], ctaid[1], ctaid[2], local_me);
}
static Buffer* find(u64 a, int size,
                    int& last) {  // `last`: the buffer that this instruction found last time
    Buffer* b;
    if (last < W->count) {
        b = W->buffers + last;
        if (a >= b->base && a + size <= b->base + b->size) return b;
    }
    for (int i = 0; i < W->count; ++i) {
        b = W->buffers + i;
        if (a >= b->base && a + size <= b->base + b->size) {
            last = i;
            return b;
        }
    }
    return nullptr;
}
static const u32 MANY = 0xffffffffu;
static u8 nothing[64];
static inline u8* global_at(u64 a, int size, int write, int at, int& last) {
    if (W->stats) W->log[local_me % 32].push_back({(u32)at, (u16)size, (u8)write, a});
    if (a & (size - 1)) complain("misaligned", at, a, size);
    Buffer* b = find(a, size, last);
    if (!b) {
        complain(write ? "store out of bounds" : "load out of bounds", at, a, size);
        memset(nothing, 0, 64);
        return nothing;
    }
    if (write && !b->writable) {
        complain("store into a read-only buffer", at, a, size);
        return nothing;
    }
    if (b->writer)
        for (u64 i = a - b->base; i < a - b->base + size; ++i) {
            if (write) {
                if (b->writer[i] && b->writer[i] != me)
                    complain("race: two threads write", at, b->base + i, size);
                if (b->reader[i] && b->reader[i] != me)
                    complain("race: written after another thread's read", at, b->base + i, size);
                b->writer[i] = me;
            } else {
                if (b->writer[i] && b->writer[i] != me)
                    complain("race: read after another thread's write", at, b->base + i, size);
                b->reader[i] = b->reader[i] && b->reader[i] != me ? MANY : me;
            }
        }
    return (u8*)a;
}
static u8* shared_at(u64 a, int size, int write, int at, int&) {
    if (W->stats) W->log[local_me % 32].push_back({(u32)at, (u16)size, (u8)(2 + write), a});
    if (a & (size - 1)) complain("misaligned shared access", at, a, size);
    if (a + size > W->shared.size()) {
        complain("shared access out of bounds", at, a, size);
        memset(nothing, 0, 64);
        return nothing;
    }
    for (u64 i = a; i < a + size; ++i) {
        if (write) {
            if (W->swriter[i] && W->swriter[i] != me)
                complain("shared race: two threads write", at, i, size);
            if (W->sreader[i] && W->sreader[i] != me)
                complain("shared race: written after another thread's read", at, i, size);
            W->swriter[i] = me;
            W->swritten[i] = 1;
        } else {
            if (W->swriter[i] && W->swriter[i] != me)
                complain("shared race: read after another thread's write", at, i, size);
            if (!W->swritten[i]) complain("shared read of what nothing wrote", at, i, size);
            W->sreader[i] = W->sreader[i] && W->sreader[i] != me ? MANY : me;
        }
    }
    return W->shared.data() + a;
}
