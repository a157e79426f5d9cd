// A video frame as three strided components and an affine map to RGB: see frame.py.
#pragma once
#include "portable.cuh"

// Every member has four bytes, in the order of FRAME_DTYPE in frame.py.
struct FrameFormat {
    int width, height;                // pixels
    int chroma_width, chroma_height;  // samples of the second and third component
    int pitch[3], step[3];            // samples from row to row and from column to column
    int shift[3];                     // bits below the code in its word
    int largest_code;
    float to_rgb[12];                     // (3, 4): codes to RGB in [-1, 1]
    float from_rgb[12];                   // (3, 4): RGB in [-1, 1] to codes
    float chroma_x[2], chroma_y[2];       // chroma index = pixel * [0] + [1]
    float chroma_taps_x[3], chroma_taps_y[3];  // weights of the pixels 2i - 1, 2i, 2i + 1
    float border[3];                      // RGB in [-1, 1] outside the frame
};

// In the order of PLACEMENT_DTYPE in placement.py.
struct FacePlacement {
    float to_frame[6], to_crop[6];         // (2, 3) affine maps of pixel centres
    float crop_width[4], paste_width[4];   // splines: first component x, y, then the other two's
    float strength[2];                     // of the change: first component, the other two
    int left, top, right, bottom;          // pixels of the frame that the mask may touch
};

template <typename Sample>
struct Frame {
    Sample* component[3];
};

struct Colour {
    float channel[3];
};

template <typename Sample>
INLINE Sample* sample_at(const Frame<Sample>& frame, const FrameFormat& format, int k, int x, int y) {
    return frame.component[k] + static_cast<long long>(y) * format.pitch[k] + x * format.step[k];
}

template <typename Sample>
INLINE float code_at(const Frame<Sample>& frame, const FrameFormat& format, int k, int x, int y) {
    const unsigned word = *sample_at(frame, format, k, x, y);
    return static_cast<float>((word >> format.shift[k]) & static_cast<unsigned>(format.largest_code));
}

INLINE float affine(const float* row, float a, float b, float c) {
    return row[0] * a + row[1] * b + row[2] * c + row[3];
}

INLINE float affine(const float* row, float x, float y) { return row[0] * x + row[1] * y + row[2]; }

// Two neighbours on one axis, and how far the coordinate lies towards the second; edges repeat.
struct Neighbours {
    int near, far;
    float fraction;
};

INLINE Neighbours neighbours(float coordinate, int size) {
    const float inside = clamp(coordinate, 0.0f, static_cast<float>(size - 1));
    const float low = floorf(inside);
    const int near = static_cast<int>(low);
    return {near, clamp(near + 1, 0, size - 1), inside - low};
}

constexpr float WIDEST = 32.0f;  // a wider spline is cut to this: a bound on the work of a sample
constexpr float FARTHEST = 1e6f;

// Weights of the samples round a coordinate: a hat of one sample, or a cubic B-spline of a width.
struct Filter {
    float at, inverse, scale;  // scale: 0 for the hat
    int first, last;
};

INLINE Filter filter_at(float coordinate, float width) {
    const float at = clamp(coordinate, -FARTHEST, FARTHEST);
    const float spread = clamp(width, 0.0f, WIDEST);
    const float reach = spread > 0.0f ? 2.0f * spread : 1.0f;
    const float inverse = spread > 0.0f ? 1.0f / spread : 1.0f;
    return {at, inverse, spread > 0.0f ? inverse / 6.0f : 0.0f, static_cast<int>(ceilf(at - reach)),
            static_cast<int>(floorf(at + reach))};
}

INLINE float weight_of(const Filter& filter, int sample) {
    const float away = fabsf((static_cast<float>(sample) - filter.at) * filter.inverse);
    const float inner = fmaxf(1.0f - away, 0.0f), outer = fmaxf(2.0f - away, 0.0f);
    if (filter.scale == 0.0f) return inner;
    return (outer * outer * outer - 4.0f * (inner * inner * inner)) * filter.scale;
}

// Both axes by weights, edges repeated; the weights need not add up to one.
template <typename Sample, typename Weights>
INLINE float weighted_code(const Frame<Sample>& frame, const FrameFormat& format, int k,
                           const Weights& along, const Weights& down, int width, int height) {
    float total = 0.0f, weights = 0.0f;
    for (int y = down.first; y <= down.last; ++y) {
        float row = 0.0f, across = 0.0f;
        for (int x = along.first; x <= along.last; ++x) {
            const float weight = weight_of(along, x);
            row += weight *
                   code_at(frame, format, k, clamp(x, 0, width - 1), clamp(y, 0, height - 1));
            across += weight;
        }
        const float weight = weight_of(down, y);
        total += weight * row;
        weights += weight * across;
    }
    return total / weights;
}

INLINE float mix(float from, float to, float fraction) { return from + (to - from) * fraction; }
