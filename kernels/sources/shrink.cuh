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

INLINE float share_of(const Stretch& stretch, int sample) {
    const float at = static_cast<float>(sample);
    return fmaxf(fminf(stretch.high, at + 0.5f) - fmaxf(stretch.low, at - 0.5f), 0.0f);
}

template <typename Sample>
INLINE float mean_code(const Frame<Sample>& frame, const FrameFormat& format, int k,
                       const Stretch& along, const Stretch& down) {
    const int width = k ? format.chroma_width : format.width;
    const int height = k ? format.chroma_height : format.height;
    float total = 0.0f, shares = 0.0f;
    for (int y = down.first; y <= down.last; ++y) {
        float row = 0.0f, across = 0.0f;
        for (int x = along.first; x <= along.last; ++x) {
            const float share = share_of(along, x);
            row += share *
                   code_at(frame, format, k, clamp(x, 0, width - 1), clamp(y, 0, height - 1));
            across += share;
        }
        const float share = share_of(down, y);
        total += share * row;
        shares += share * across;
    }
    return total / shares;
}

// RGB in [-1, 1] of the small picture's pixel (column, row); scale: frame pixels for one of it.
template <typename Sample>
INLINE Colour small_pixel(const Frame<Sample>& frame, const FrameFormat& format, int column, int row,
                          float scale_x, float scale_y) {
    const float whole[2] = {1.0f, 0.0f};
    const float luma = mean_code(frame, format, 0, stretch_of(column, scale_x, whole),
                                 stretch_of(row, scale_y, whole));
    const Stretch along = stretch_of(column, scale_x, format.chroma_x);
    const Stretch down = stretch_of(row, scale_y, format.chroma_y);
    const float b = mean_code(frame, format, 1, along, down);
    const float c = mean_code(frame, format, 2, along, down);
    Colour rgb;
    for (int k = 0; k < 3; ++k) rgb.channel[k] = affine(format.to_rgb + 4 * k, luma, b, c);
    return rgb;
}
