// The aligned face out of the frame; see crop_align.py.
// Grid: (ceil(size * size / 256), 1, faces) blocks. Placements lie in device memory, so that a captured
// graph replays with the faces of the new frame.
#include "crop_align.cuh"

template <typename Sample, typename Value>
INLINE void crop_block(const Frame<const Sample>& frame, const FrameFormat& format,
                       const FacePlacement* faces, Value* out, int size) {
    const long long pixels = static_cast<long long>(size) * size;
    FOR_THREADS(t) {
        const long long pixel = static_cast<long long>(blockIdx.x) * BLOCK + t;
        if (pixel < pixels) {
            const int row = static_cast<int>(pixel / size), column = static_cast<int>(pixel % size);
            const Colour rgb = crop_pixel(frame, format, faces[blockIdx.z], column, row);
            for (int k = 0; k < 3; ++k) {
                store_value(out, (blockIdx.z * 3LL + k) * pixels + pixel, rgb.channel[k]);
            }
        }
    }
}

#define CROP_ALIGN(NAME, SAMPLE, VALUE)                                                           \
    KERNEL NAME(const SAMPLE* a, const SAMPLE* b, const SAMPLE* c,                                \
                const BY_VALUE FrameFormat format, const FacePlacement* faces, VALUE* out,        \
                int size) {                                                                       \
        crop_block<SAMPLE, VALUE>({{a, b, c}}, format, faces, out, size);                         \
    }

CROP_ALIGN(crop_align_u8_f32, unsigned char, float)
CROP_ALIGN(crop_align_u8_f16, unsigned char, unsigned short)
CROP_ALIGN(crop_align_u16_f32, unsigned short, float)
CROP_ALIGN(crop_align_u16_f16, unsigned short, unsigned short)
CROP_ALIGN(crop_align_u32_f32, unsigned int, float)
CROP_ALIGN(crop_align_u32_f16, unsigned int, unsigned short)
