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
    const Neighbours chroma_x =
        neighbours(x * format.chroma_x[0] + format.chroma_x[1], format.chroma_width);
    const Neighbours chroma_y =
        neighbours(y * format.chroma_y[0] + format.chroma_y[1], format.chroma_height);
    const float a =
        bilinear_code(frame, format, 0, neighbours(x, format.width), neighbours(y, format.height));
    const float b = bilinear_code(frame, format, 1, chroma_x, chroma_y);
    const float c = bilinear_code(frame, format, 2, chroma_x, chroma_y);
    Colour rgb;
    for (int k = 0; k < 3; ++k) {
        const float value = clamp(affine(format.to_rgb + 4 * k, a, b, c), -1.0f, 1.0f);
        rgb.channel[k] = mix(format.border[k], value, cover);
    }
    return rgb;
}
