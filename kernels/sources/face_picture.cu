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

KERNEL face_to_picture(const float* face, unsigned char* picture, int size) {
    const int pixels = size * size;
    FOR_THREADS(t) {
        const int pixel = static_cast<int>(blockIdx.x) * BLOCK + t;
        if (pixel < pixels) {
            for (int k = 0; k < 3; ++k) {
                picture[pixel * 3 + k] = level_of(face[k * pixels + pixel]);
            }
        }
    }
}
