/* How fuzzers change images (image.h). */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t max);

/* Words of memory are what matters: one becomes another of them, or near one, or something at an edge. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t max, unsigned seed) {
    static const uint64_t edges[] = {
        0, 1, 7, 8, 0xff, 0x7fffffff, 0xffffffff, UINT64_C(1) << 47, UINT64_MAX - 7, UINT64_MAX};
    unsigned state = seed * 2654435761U + 1;
    if (size < 32 || seed % 4 == 0) return LLVMFuzzerMutate(bytes, size, max);
    if (seed % 8 == 1) bytes[0] = (uint8_t)(seed >> 8);
    for (unsigned n = 1 + seed % 3; n > 0; n--) {
        uint64_t word, other;
        state = state * 1664525 + 1013904223;
        size_t at = state / 16 % (size - 8);
        state = state * 1664525 + 1013904223;
        size_t from = state / 16 % (size - 8);
        memcpy(&word, bytes + at, 8);
        memcpy(&other, bytes + from, 8);
        switch (state % 5) {
        case 0: word = other; break;
        case 1: word += (uint64_t)((int64_t)(state / 8 % 33) - 16) * 8; break;
        case 2: word = edges[state / 8 % (sizeof edges / sizeof edges[0])]; break;
        case 3: word ^= UINT64_C(1) << (state / 8 % 64); break;
        default: word = other + (state / 8 % 64) * 8; break;
        }
        memcpy(bytes + at, &word, 8);
    }
    return size;
}
