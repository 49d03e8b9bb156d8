/*
 * plain_map.h: the door before the msgpack library, which allocates what the counts of arrays and
 * maps say before it has seen one element: 64 GiB for five bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAIN_MAP_PAIRS_MAX 256u /* later versions of what is in a map included */

/* Whether a msgpack map stands at source, with so few pairs of numbers, texts, bytes and flags, all
 * within bytes. What follows it is not looked at. */
bool plain_map_is(const uint8_t *source, size_t bytes);
