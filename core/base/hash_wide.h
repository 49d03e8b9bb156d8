/*
 * hash_wide.h: XXH3 compiled for wider registers (core/base/CMakeLists.txt has the flags); called
 * only where the processor has them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_avx2(const void *data, size_t bytes, uint64_t seed);
uint64_t hash_avx512(const void *data, size_t bytes, uint64_t seed);
