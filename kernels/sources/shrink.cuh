// Per-pixel body of the small picture; the meaning is in shrink.py, in the same order of operations.
#pragma once
#include "frame.cuh"

// What a pixel of the small picture stands for along one axis, in samples of a component.
struct Stretch {
    float low, high;
    int first, last;
};

INLINE Stretch stretch_of(int pixel, float scale, const float* line) {
    const float edge = static_cast<float>(pixel) * scale - 0.5f;
    const float low = edge * line[0] + line[1], high = (edge + scale) * line[0] + line[1];
    return {low, high, static_cast<int>(floorf(low + 0.5f)), static_cast<int>(floorf(high + 0.5f))};
}

INLINE float weight_of(const Stretch& stretch, int sample) {
    const float at = static_cast<float>(sample);
    return fmaxf(fminf(stretch.high, at + 0.5f) - fmaxf(stretch.low, at - 0.5f), 0.0f);
}

// RGB in [-1, 1] of the small picture's pixel (column, row); scale: frame pixels for one of it.
template <typename Sample>
INLINE Colour small_pixel(const Frame<Sample>& frame, const FrameFormat& format, int column, int row,
                          float scale_x, float scale_y) {
    const float whole[2] = {1.0f, 0.0f};
    const int width = format.chroma_width, height = format.chroma_height;
    const float luma = weighted_code(frame, format, 0, stretch_of(column, scale_x, whole),
                                     stretch_of(row, scale_y, whole), format.width, format.height);
    const Stretch along = stretch_of(column, scale_x, format.chroma_x);
    const Stretch down = stretch_of(row, scale_y, format.chroma_y);
    const float b = weighted_code(frame, format, 1, along, down, width, height);
    const float c = weighted_code(frame, format, 2, along, down, width, height);
    Colour rgb;
    for (int k = 0; k < 3; ++k) rgb.channel[k] = affine(format.to_rgb + 4 * k, luma, b, c);
    return rgb;
}
