// Per-pixel bodies of the warp; the meaning is in warp_by_flow.py, in the same order of operations.
#pragma once
#include "portable.cuh"

constexpr int CELL = 8;
constexpr int NEIGHBOURS = 9;

struct Flow {
    float x, y;
};

// Flow in pixels at (8 * row + a, 8 * column + b); flow (2, rows, columns), mask (576, rows, columns).
INLINE Flow upsampled_flow(const float* flow, const float* mask, int rows, int columns, int row,
                           int column, int a, int b) {
    const long long plane = static_cast<long long>(rows) * columns;
    const float* logits = mask + (a * CELL + b) * plane + row * columns + column;
    float logit[NEIGHBOURS];
    for (int n = 0; n < NEIGHBOURS; ++n) logit[n] = logits[n * CELL * CELL * plane];
    float largest = logit[0];
    for (int n = 1; n < NEIGHBOURS; ++n) largest = fmaxf(largest, logit[n]);
    float total = 0.0f, x = 0.0f, y = 0.0f;
    for (int n = 0; n < NEIGHBOURS; ++n) {
        const int r = row + n / 3 - 1, c = column + n % 3 - 1;
        const bool inside = r >= 0 && r < rows && c >= 0 && c < columns;
        const float* at = flow + clamp(r, 0, rows - 1) * columns + clamp(c, 0, columns - 1);
        const float weight = expf(logit[n] - largest);
        total += weight;
        x += weight * (inside ? at[0] * CELL : 0.0f);
        y += weight * (inside ? at[plane] * CELL : 0.0f);
    }
    return {x / total, y / total};
}

// Coordinate by way of the normalised one, clamped to where no pixel contributes any more.
INLINE float source_coordinate(float flow, int position, int size) {
    const float normalised = (flow + position) * 2.0f / (size - 1) - 1.0f;
    return clamp((normalised + 1.0f) * ((size - 1) * 0.5f), -2.0f, static_cast<float>(size));
}

INLINE float value_or_zero(const float* image, int height, int width, int row, int column) {
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    const float value = image[clamp(row, 0, height - 1) * width + clamp(column, 0, width - 1)];
    return inside ? value : 0.0f;
}

// Bilinear sample of every channel at (column + flow.x, row + flow.y), zeros outside.
INLINE void warp_pixel(const float* image, float* out, int channels, int height, int width, int row,
                       int column, Flow flow) {
    const float x = source_coordinate(flow.x, column, width);
    const float y = source_coordinate(flow.y, row, height);
    const float left = floorf(x), top = floorf(y);
    const float east = x - left, south = y - top;
    const float west = 1.0f - east, north = 1.0f - south;
    const int c = static_cast<int>(left), r = static_cast<int>(top);
    const long long plane = static_cast<long long>(height) * width;
    for (int channel = 0; channel < channels; ++channel) {
        const float* from = image + channel * plane;
        float sum = value_or_zero(from, height, width, r, c) * (north * west);
        sum += value_or_zero(from, height, width, r, c + 1) * (north * east);
        sum += value_or_zero(from, height, width, r + 1, c) * (south * west);
        sum += value_or_zero(from, height, width, r + 1, c + 1) * (south * east);
        out[channel * plane + row * width + column] = sum;
    }
}
