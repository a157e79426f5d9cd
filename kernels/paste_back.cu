// The restored face into the frame, in the frame's own format; see paste_back.py.
// Grid: any number of blocks; each thread walks sites of the face's region. A site is one chroma sample
// with the pixels that only it covers, so no two threads write one word.
#include "paste_back.cuh"

// SX, SY: 1 where chroma has half the columns or rows. Faces that overlap need launches in order.
template <int SX, int SY, typename Sample, typename Value>
INLINE void paste_site(const Frame<Sample>& frame, const FrameFormat& format,
                       const FacePlacement& face, const Value* image, int size, int i, int j,
                       int dither) {
    float cover = 0.0f, second = 0.0f, third = 0.0f;
    for (int dy = -SY; dy <= SY; ++dy) {
        for (int dx = -SX; dx <= SX; ++dx) {
            const int x = (i << SX) + dx, y = (j << SY) + dy;
            const Patch patch = face_at(image, size, format, face, x, y);
            const float weight =
                format.chroma_taps_x[dx + 1] * format.chroma_taps_y[dy + 1] * patch.mask;
            cover += weight;
            second += weight * patch.code[1];
            third += weight * patch.code[2];
            if (dx >= 0 && dy >= 0 && x < format.width && y < format.height) {
                blend(frame, format, 0, x, y, patch.mask * patch.code[0], patch.mask, dither);
            }
        }
    }
    blend(frame, format, 1, i, j, second, cover, dither);
    blend(frame, format, 2, i, j, third, cover, dither);
}

template <int SX, int SY, typename Sample, typename Value>
INLINE void paste_block(const Frame<Sample>& frame, const FrameFormat* format,
                        const FacePlacement* face, const Value* image, int size, int dither) {
    const int left = clamp(face->left, 0, format->width) >> SX;
    const int top = clamp(face->top, 0, format->height) >> SY;
    const int right = (clamp(face->right, 0, format->width) + SX) >> SX;
    const int bottom = (clamp(face->bottom, 0, format->height) + SY) >> SY;
    const int columns = clamp(right - left, 0, format->chroma_width);
    const int sites = columns * clamp(bottom - top, 0, format->chroma_height);
    FOR_THREADS(t) {
        for (int site = blockIdx.x * BLOCK + t; site < sites; site += gridDim.x * BLOCK) {
            paste_site<SX, SY>(frame, *format, *face, image, size, left + site % columns,
                               top + site / columns, dither);
        }
    }
}

#define PASTE_BACK(NAME, SX, SY, SAMPLE, VALUE)                                                   \
    KERNEL NAME(SAMPLE* a, SAMPLE* b, SAMPLE* c, const FrameFormat* format,                       \
                const FacePlacement* face, const VALUE* image, int size, int dither) {            \
        paste_block<SX, SY, SAMPLE, VALUE>({{a, b, c}}, format, face, image, size, dither);       \
    }

PASTE_BACK(paste_back_444_u8_f32, 0, 0, unsigned char, float)
PASTE_BACK(paste_back_444_u8_f16, 0, 0, unsigned char, unsigned short)
PASTE_BACK(paste_back_444_u16_f32, 0, 0, unsigned short, float)
PASTE_BACK(paste_back_444_u16_f16, 0, 0, unsigned short, unsigned short)
PASTE_BACK(paste_back_444_u32_f32, 0, 0, unsigned int, float)
PASTE_BACK(paste_back_444_u32_f16, 0, 0, unsigned int, unsigned short)
PASTE_BACK(paste_back_422_u8_f32, 1, 0, unsigned char, float)
PASTE_BACK(paste_back_422_u8_f16, 1, 0, unsigned char, unsigned short)
PASTE_BACK(paste_back_422_u16_f32, 1, 0, unsigned short, float)
PASTE_BACK(paste_back_422_u16_f16, 1, 0, unsigned short, unsigned short)
PASTE_BACK(paste_back_420_u8_f32, 1, 1, unsigned char, float)
PASTE_BACK(paste_back_420_u8_f16, 1, 1, unsigned char, unsigned short)
PASTE_BACK(paste_back_420_u16_f32, 1, 1, unsigned short, float)
PASTE_BACK(paste_back_420_u16_f16, 1, 1, unsigned short, unsigned short)
