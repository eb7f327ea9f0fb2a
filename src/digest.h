/*
 * FNV-1a, 64 bits: for telling contents apart, not for security.
 */
#ifndef LJINSPECT_DIGEST_H
#define LJINSPECT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_START UINT64_C(0xcbf29ce484222325)

/* The digest of what `digest` stands for, followed by `size` bytes. */
static inline uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++) digest = (digest ^ p[i]) * UINT64_C(0x100000001b3);
    return digest;
}

#endif
