/*
 * A target made of bytes: what a reader of another process may find there, as an input of a fuzzer. Little-endian, packed:
 *
 *   flags     u8    IMAGE_
 *   maps      u8    how many; then each: start u64, end u64, bits u8 (read, write, execute, shared, has a path)
 *   regs      7 u64 ip, sp, base, pc, dispatch, kbase, rb of its one thread; of arm64 two more: x30, x29
 *   lines     u16   how many; then each: address u64, length u8, the bytes
 *   changes   the rest, each: after how many reads u16, line u16, offset u8, word u64: memory that changes under the reader
 *
 * A page that has a line can be read; what no line gives is zero. Counts larger than what follows are cut.
 */
#ifndef LJINSPECT_FUZZ_IMAGE_H
#define LJINSPECT_FUZZ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../../src/remote/target.h"

enum { IMAGE_LIVE = 1, IMAGE_RUNS = 2, IMAGE_GONE = 4 /* cannot be stopped */, IMAGE_ARM64 = 8 };
enum { IMAGE_MAPS = 64, IMAGE_LINES = 4096, IMAGE_MAP_BITS = 5 };

/* So that an input ends: reads that succeed, and how much of a mapping is searched. */
enum { IMAGE_READS_MAX = 200000, IMAGE_SEARCHED = 256 << 20 };

/* NULL: no memory. The bytes must stay. */
target *image_open(const uint8_t *bytes, size_t size);

#endif
