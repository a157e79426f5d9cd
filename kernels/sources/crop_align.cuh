// Per-pixel body of the aligned crop; the meaning is in crop_align.py, in the same order of operations.
#pragma once
#include "frame.cuh"

template <typename Sample>
INLINE float bilinear_code(const Frame<Sample>& frame, const FrameFormat& format, int k,
                           const Neighbours& x, const Neighbours& y) {
    const float top = mix(code_at(frame, format, k, x.near, y.near),
                          code_at(frame, format, k, x.far, y.near), x.fraction);
    const float bottom = mix(code_at(frame, format, k, x.near, y.far),
                             code_at(frame, format, k, x.far, y.far), x.fraction);
    return mix(top, bottom, y.fraction);
}

// The code of a component at coordinates in its samples; widths: of the splines along x and y.
template <typename Sample>
INLINE float component_at(const Frame<Sample>& frame, const FrameFormat& format, int k, float x,
                          float y, const float* widths) {
    const int width = k ? format.chroma_width : format.width;
    const int height = k ? format.chroma_height : format.height;
    if (widths[0] > 0.0f || widths[1] > 0.0f) {
        return weighted_code(frame, format, k, filter_at(x, widths[0]), filter_at(y, widths[1]),
                             width, height);
    }
    return bilinear_code(frame, format, k, neighbours(x, width), neighbours(y, height));
}

// How much of the bilinear weight along one axis lies on pixels of the frame.
INLINE float coverage(float coordinate, int size) {
    return clamp(coordinate + 1.0f, 0.0f, 1.0f) * clamp(size - coordinate, 0.0f, 1.0f);
}

// RGB in [-1, 1] of the crop's pixel (column, row).
template <typename Sample>
INLINE Colour crop_pixel(const Frame<Sample>& frame, const FrameFormat& format,
                         const FacePlacement& face, int column, int row) {
    const float x = clamp(affine(face.to_frame, column, row), -2.0f, format.width + 1.0f);
    const float y = clamp(affine(face.to_frame + 3, column, row), -2.0f, format.height + 1.0f);
    const float cover = coverage(x, format.width) * coverage(y, format.height);
    const float chroma_x = x * format.chroma_x[0] + format.chroma_x[1];
    const float chroma_y = y * format.chroma_y[0] + format.chroma_y[1];
    const float a = component_at(frame, format, 0, x, y, face.crop_width);
    const float b = component_at(frame, format, 1, chroma_x, chroma_y, face.crop_width + 2);
    const float c = component_at(frame, format, 2, chroma_x, chroma_y, face.crop_width + 2);
    Colour rgb;
    for (int k = 0; k < 3; ++k) {
        const float value = clamp(affine(format.to_rgb + 4 * k, a, b, c), -1.0f, 1.0f);
        rgb.channel[k] = mix(format.border[k], value, cover);
    }
    return rgb;
}
