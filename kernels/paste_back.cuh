// Per-pixel bodies of the paste; the meaning is in paste_back.py, in the same order of operations.
#pragma once
#include "frame.cuh"

// 0 below 0, 1 above 1, and between them the step whose slope is the Beta(4, 4) density.
INLINE float soft_step(float t) {
    const float s = clamp(t, 0.0f, 1.0f), square = s * s;
    return clamp(square * square * (35.0f - s * (84.0f - s * (70.0f - 20.0f * s))), 0.0f, 1.0f);
}

INLINE float soft_mask(const FacePlacement& face, float u, float v, int size) {
    const float last = static_cast<float>(size - 1);
    const float across = soft_step(u * face.slope_u) * soft_step((last - u) * face.slope_u);
    const float down = soft_step(v * face.slope_v) * soft_step((last - v) * face.slope_v);
    return across * down;
}

template <typename Value>
INLINE float bilinear_face(const Value* plane, int size, const Neighbours& u, const Neighbours& v) {
    const long long top = static_cast<long long>(v.near) * size;
    const long long bottom = static_cast<long long>(v.far) * size;
    const float upper =
        mix(load_value(plane, top + u.near), load_value(plane, top + u.far), u.fraction);
    const float lower =
        mix(load_value(plane, bottom + u.near), load_value(plane, bottom + u.far), u.fraction);
    return mix(upper, lower, v.fraction);
}

// The restored face at one pixel of the frame, as codes of the frame's format, and its mask.
struct Patch {
    float code[3], mask;
};

template <typename Value>
INLINE Patch face_at(const Value* image, int size, const FrameFormat& format,
                     const FacePlacement& face, int x, int y) {
    const float u = affine(face.to_crop, x, y), v = affine(face.to_crop + 3, x, y);
    const Neighbours along = neighbours(u, size), down = neighbours(v, size);
    const long long plane = static_cast<long long>(size) * size;
    float rgb[3];
    for (int k = 0; k < 3; ++k) {
        rgb[k] = clamp(bilinear_face(image + k * plane, size, along, down), -1.0f, 1.0f);
    }
    Patch patch;
    for (int k = 0; k < 3; ++k) {
        patch.code[k] = affine(format.from_rgb + 4 * k, rgb[0], rgb[1], rgb[2]);
    }
    patch.mask = soft_mask(face, u, v, size);
    return patch;
}

// What is added before rounding down: a half, or the threshold of an 8x8 Bayer matrix.
INLINE float rounding_offset(int x, int y, int dither) {
    const int odd = x ^ y;
    const int rank = (odd & 1) << 5 | (y & 1) << 4 | (odd & 2) << 2 | (y & 2) << 1 |
                     (odd & 4) >> 1 | (y & 4) >> 2;
    return dither ? (rank + 0.5f) / 64.0f : 0.5f;
}

// `weighted` is the mask times the face's code; a mask of 0 leaves the word as it is.
template <typename Sample>
INLINE void blend(const Frame<Sample>& frame, const FrameFormat& format, int k, int x, int y,
                  float weighted, float mask, int dither) {
    Sample* at = sample_at(frame, format, k, x, y);
    const unsigned largest = static_cast<unsigned>(format.largest_code), shift = format.shift[k];
    const unsigned word = *at;
    const float old = static_cast<float>((word >> shift) & largest);
    const float code = clamp(old + (weighted - mask * old), 0.0f, static_cast<float>(largest));
    const unsigned rounded = static_cast<unsigned>(floorf(code + rounding_offset(x, y, dither)));
    const unsigned pasted = (word & ~(largest << shift)) | rounded << shift;
    *at = static_cast<Sample>(mask > 0.0f ? pasted : word);
}
