/*
 * explain.h: a get that tells what it touched, for `kiwidb get --explain`.
 */
#pragma once

#include <jansson.h>

#include "kiwi/kiwi.h"

/* As kiwi_get; free value->data. explain tells of the read that found how large the value is. */
enum kiwi_status explained_get(struct kiwi_context *context, struct kiwi_slice key,
                               struct kiwi_buffer *value, struct kiwi_explain *explain);

/* Four lines to standard error, so that the value stays alone on standard output. */
void    explain_print(const struct kiwi_explain *explain);
json_t *explain_json(const struct kiwi_explain *explain); /* NULL: no memory */
