// The small picture in which faces are looked for; see shrink.py.
// Grid: (ceil(width * height / 256), 1, 1) blocks of the small picture.
#include "shrink.cuh"

template <typename Sample>
INLINE void shrink_block(const Frame<const Sample>& frame, const FrameFormat& format,
                         unsigned char* picture, int width, int height) {
    const float scale_x = static_cast<float>(format.width) / static_cast<float>(width);
    const float scale_y = static_cast<float>(format.height) / static_cast<float>(height);
    FOR_THREADS(t) {
        const int pixel = static_cast<int>(blockIdx.x) * BLOCK + t;
        if (pixel < width * height) {
            const Colour rgb =
                small_pixel(frame, format, pixel % width, pixel / width, scale_x, scale_y);
            for (int k = 0; k < 3; ++k) picture[pixel * 3 + k] = level_of(rgb.channel[k]);
        }
    }
}

#define SHRINK(NAME, SAMPLE)                                                                     \
    KERNEL NAME(const SAMPLE* a, const SAMPLE* b, const SAMPLE* c,                               \
                const BY_VALUE FrameFormat format, unsigned char* picture, int width,            \
                int height) {                                                                    \
        shrink_block<SAMPLE>({{a, b, c}}, format, picture, width, height);                       \
    }

SHRINK(shrink_u8, unsigned char)
SHRINK(shrink_u16, unsigned short)
SHRINK(shrink_u32, unsigned int)
