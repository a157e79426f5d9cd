// What the network changed into the frame, in the frame's own format; see paste_back.py.
// Grid: any number of blocks; each thread walks samples of the face's region. Components that lie in
// one word are changed by one thread, so no two threads write one word.
#include "paste_back.cuh"

// The change at sample (i, j) of the components that are as fine as `k`.
template <typename Value>
INLINE Colour change_over(const FrameFormat& format, const FacePlacement& face,
                          const Pair<Value>& pair, int k, int i, int j) {
    const float* widths = face.paste_width + (k ? 2 : 0);
    const float x = k ? (i - format.chroma_x[1]) / format.chroma_x[0] : static_cast<float>(i);
    const float y = k ? (j - format.chroma_y[1]) / format.chroma_y[0] : static_cast<float>(j);
    return sampled_change(pair, filter_at(affine(face.to_crop, x, y), widths[0]),
                          filter_at(affine(face.to_crop + 3, x, y), widths[1]));
}

// Components first..last over the region, in their own samples, of which SX and SY say how coarse.
template <int SX, int SY, typename Sample, typename Value>
INLINE void paste_components(const Frame<Sample>& frame, const FrameFormat& format,
                             const FacePlacement& face, const Pair<Value>& pair, int first,
                             int last, int thread, int dither) {
    const int left = clamp(face.left, 0, format.width) >> SX;
    const int top = clamp(face.top, 0, format.height) >> SY;
    const int right = (clamp(face.right, 0, format.width) + SX) >> SX;
    const int bottom = (clamp(face.bottom, 0, format.height) + SY) >> SY;
    const int columns = clamp(right - left, 0, format.width);
    const int sites = columns * clamp(bottom - top, 0, format.height);
    for (int site = blockIdx.x * BLOCK + thread; site < sites; site += gridDim.x * BLOCK) {
        const int i = left + site % columns, j = top + site / columns;
        const Colour change = change_over(format, face, pair, first, i, j);
        for (int k = first; k <= last; ++k) {
            add_change(frame, format, face, k, i, j, change, dither);
        }
    }
}

template <int SX, int SY, typename Sample, typename Value>
INLINE void paste_block(const Frame<Sample>& frame, const FrameFormat& format,
                        const FacePlacement* face, const Pair<Value>& pair, int dither) {
    FOR_THREADS(t) {
        if (SX == 0 && SY == 0) {
            paste_components<0, 0>(frame, format, *face, pair, 0, 2, t, dither);
        } else {
            paste_components<0, 0>(frame, format, *face, pair, 0, 0, t, dither);
            paste_components<SX, SY>(frame, format, *face, pair, 1, 2, t, dither);
        }
    }
}

#define PASTE_BACK(NAME, SX, SY, SAMPLE, VALUE)                                                   \
    KERNEL NAME(SAMPLE* a, SAMPLE* b, SAMPLE* c, const BY_VALUE FrameFormat format,               \
                const FacePlacement* face, const float* restored, const VALUE* crop, int size,    \
                int dither) {                                                                     \
        paste_block<SX, SY, SAMPLE, VALUE>({{a, b, c}}, format, face, {restored, crop, size},     \
                                           dither);                                               \
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
