// Pictures of faces in and out; see face_picture.py.
// Grid: (ceil(size * size / 256), 1, 1) blocks of one face.
#include "portable.cuh"

template <typename Value>
INLINE void take_block(const unsigned char* picture, Value* face, int size) {
    const int pixels = size * size;
    FOR_THREADS(t) {
        const int pixel = static_cast<int>(blockIdx.x) * BLOCK + t;
        if (pixel < pixels) {
            for (int k = 0; k < 3; ++k) {
                const float value = static_cast<float>(picture[pixel * 3 + k]) / 255.0f;
                store_value(face, k * pixels + pixel, (value - 0.5f) / 0.5f);
            }
        }
    }
}

KERNEL face_from_picture_f32(const unsigned char* picture, float* face, int size) {
    take_block(picture, face, size);
}

KERNEL face_from_picture_f16(const unsigned char* picture, unsigned short* face, int size) {
    take_block(picture, face, size);
}

// Adding and taking away 1.5 * 2^23 rounds what is below 2^22 half to even.
INLINE float rounded(float value) { return (value + 12582912.0f) - 12582912.0f; }

KERNEL face_to_picture(const float* face, unsigned char* picture, int size) {
    const int pixels = size * size;
    FOR_THREADS(t) {
        const int pixel = static_cast<int>(blockIdx.x) * BLOCK + t;
        if (pixel < pixels) {
            for (int k = 0; k < 3; ++k) {
                const float value = clamp(face[k * pixels + pixel], -1.0f, 1.0f);
                picture[pixel * 3 + k] =
                    static_cast<unsigned char>(rounded((value + 1.0f) * 0.5f * 255.0f));
            }
        }
    }
}
