// Per-sample bodies of the paste; the meaning is in paste_back.py, in the same order of operations.
#pragma once
#include "frame.cuh"

// 0 below 0, 1 above 1, and between them the step whose slope is the Beta(4, 4) density.
INLINE float soft_step(float t) {
    const float s = clamp(t, 0.0f, 1.0f), square = s * s;
    return clamp(square * square * (35.0f - s * (84.0f - s * (70.0f - 20.0f * s))), 0.0f, 1.0f);
}

// The mask along one axis of the crop, at its pixel `at`.
INLINE float mask_profile(int at, int size) {
    const float slope = 10.24f / static_cast<float>(size);
    return soft_step(static_cast<float>(at) * slope) *
           soft_step(static_cast<float>(size - 1 - at) * slope);
}

// The restored face and what the network was given, planar, RGB in [-1, 1].
template <typename Value>
struct Pair {
    const float* restored;
    const Value* crop;
    int size;
};

// What the network changed at one pixel of the crop; nothing where its face is not finite.
template <typename Value>
INLINE Colour change_at(const Pair<Value>& pair, int column, int row) {
    const long long plane = static_cast<long long>(pair.size) * pair.size;
    const long long pixel = static_cast<long long>(row) * pair.size + column;
    Colour change = {{0.0f, 0.0f, 0.0f}};
    for (int k = 0; k < 3; ++k) {
        if (!is_finite(pair.restored[k * plane + pixel])) return change;
    }
    for (int k = 0; k < 3; ++k) {
        const long long at = k * plane + pixel;
        change.channel[k] = clamp(pair.restored[at], -1.0f, 1.0f) - load_value(pair.crop, at);
    }
    return change;
}

// The change under the mask, sampled where a sample of the frame lies in the crop.
template <typename Value>
INLINE Colour sampled_change(const Pair<Value>& pair, const Filter& along, const Filter& down) {
    Colour total = {{0.0f, 0.0f, 0.0f}};
    const int right = clamp(along.last, -1, pair.size - 1);
    const int bottom = clamp(down.last, -1, pair.size - 1);
    for (int row = clamp(down.first, 0, pair.size); row <= bottom; ++row) {
        Colour part = {{0.0f, 0.0f, 0.0f}};
        for (int column = clamp(along.first, 0, pair.size); column <= right; ++column) {
            const float weight = weight_of(along, column) * mask_profile(column, pair.size);
            if (weight == 0.0f) continue;
            const Colour change = change_at(pair, column, row);
            for (int k = 0; k < 3; ++k) part.channel[k] += weight * change.channel[k];
        }
        const float weight = weight_of(down, row) * mask_profile(row, pair.size);
        for (int k = 0; k < 3; ++k) total.channel[k] += weight * part.channel[k];
    }
    return total;
}

// What is added before rounding down: a half, or the threshold of an 8x8 Bayer matrix.
INLINE float rounding_offset(int x, int y, int dither) {
    const int odd = x ^ y;
    const int rank = (odd & 1) << 5 | (y & 1) << 4 | (odd & 2) << 2 | (y & 2) << 1 |
                     (odd & 4) >> 1 | (y & 4) >> 2;
    return dither ? (rank + 0.5f) / 64.0f : 0.5f;
}

// Adds a change of colour to component k; the bits of its word that hold no code stay.
template <typename Sample>
INLINE void add_change(const Frame<Sample>& frame, const FrameFormat& format,
                       const FacePlacement& face, int k, int x, int y, const Colour& change,
                       int dither) {
    const float* row = format.from_rgb + 4 * k;
    const float codes =
        face.strength[k ? 1 : 0] *
        (row[0] * change.channel[0] + row[1] * change.channel[1] + row[2] * change.channel[2]);
    if (codes == 0.0f || !is_finite(codes)) return;
    Sample* at = sample_at(frame, format, k, x, y);
    const unsigned largest = static_cast<unsigned>(format.largest_code), shift = format.shift[k];
    const unsigned word = *at;
    const float old = static_cast<float>((word >> shift) & largest);
    const float code = clamp(old + codes, 0.0f, static_cast<float>(largest));
    const unsigned rounded = static_cast<unsigned>(floorf(code + rounding_offset(x, y, dither)));
    *at = static_cast<Sample>((word & ~(largest << shift)) | rounded << shift);
}
