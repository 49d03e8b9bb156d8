/*
 * shard_stop.c: a shard that has stopped tells the cause, and only the first one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/shard/shard.h"

static void first_cause_of_a_stop_stays(void **state)
{
    char          directory[] = "/database/shard-3";
    struct shard *shard = aligned_alloc(_Alignof(struct shard), sizeof *shard);

    (void)state;
    assert_non_null(shard);
    memset(shard, 0, sizeof *shard);
    shard->index = 3;
    shard->directory = directory;
    assert_int_equal(shard_stop_cause(shard), KIWI_OK);

    shard_stop(shard, KIWI_IO, "sync %s: gone", "wal");
    shard_stop(shard, KIWI_FULL, "write manifest-0: no space");
    assert_int_equal(shard_stop_cause(shard), KIWI_IO);
    assert_non_null(strstr(kiwi_error_text(), "shard 3 of /database/shard-3"));
    assert_non_null(strstr(kiwi_error_text(), "sync wal: gone"));
    assert_null(strstr(kiwi_error_text(), "manifest"));
    free(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(first_cause_of_a_stop_stays) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
