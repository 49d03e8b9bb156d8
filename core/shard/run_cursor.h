/*
 * run_cursor.h: one run of a version as a sorted input: table after table, honouring their bounds.
 *
 * Thread   whoever holds the token. The version must be held or be the present one.
 */
#pragma once

#include "core/version/version.h"

struct run_cursor {
    struct iter         iter;
    const struct run   *run;
    uint32_t            place;
    bool                is_backward;
    bool                is_open;      /* the table cursor stands in a table */
    struct table_cursor table;
};

void run_cursor_init(struct run_cursor *cursor, const struct run *run);
