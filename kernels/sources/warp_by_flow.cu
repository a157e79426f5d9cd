// Backward warp of the previous face: convex upsampling and sampling in one pass; see warp_by_flow.py.
// Grid: (ceil(columns / 32), 8 * rows, batch) blocks, each 256 pixels of one row.
#include "warp_by_flow.cuh"

constexpr int CELLS = BLOCK / CELL;  // low-resolution cells of a block

// A pixel's place in shared memory: one word of padding per bank row, so that no two threads of a
// warp meet in a bank, neither when writing by cell nor when reading by pixel.
INLINE int padded(int pixel) { return pixel + pixel / 32; }

KERNEL warp_by_flow(const float* __restrict__ previous, const float* __restrict__ flow,
                    const float* __restrict__ mask, float* __restrict__ out, int rows,
                    int columns) {
    const int height = rows * CELL, width = columns * CELL;
    const int row = blockIdx.y, first_cell = blockIdx.x * CELLS;
    const long long item = blockIdx.z, cells = static_cast<long long>(rows) * columns;
    SHARED Flow flows[BLOCK + BLOCK / 32];
    // The mask is contiguous over cells, the picture over pixels: threads walk one, then the other.
    FOR_THREADS(t) {
        const int cell = t % CELLS, b = t / CELLS;
        const int column = clamp(first_cell + cell, 0, columns - 1);
        flows[padded(cell * CELL + b)] =
            upsampled_flow(flow + item * 2 * cells, mask + item * NEIGHBOURS * CELL * CELL * cells,
                           rows, columns, row / CELL, column, row % CELL, b);
    }
    BARRIER();
    FOR_THREADS(t) {
        const int column = first_cell * CELL + t;
        const long long face = item * 3 * height * width;
        if (column < width) {
            warp_pixel(previous + face, out + face, 3, height, width, row, column,
                       flows[padded(t)]);
        }
    }
}
