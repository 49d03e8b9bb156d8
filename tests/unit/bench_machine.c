/*
 * What a result says of its build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/machine.h"

static void flags_are_the_same_whatever_the_debug_information(void **state)
{
    (void)state;
    assert_true(build_flags_are_same(" -O3 -g", " -O3 -g1"));
    assert_true(build_flags_are_same("-O3", "-ggdb3  -O3 "));
    assert_true(build_flags_are_same("", " -g"));
    assert_true(build_flags_are_same("-O3 -march=native", "-O3 -g -march=native"));
    assert_false(build_flags_are_same("-O3 -g", "-O2 -g"));
    assert_false(build_flags_are_same("-O3", "-O3 -march=native"));
    assert_false(build_flags_are_same("-O3 -g", "-g"));
    assert_false(build_flags_are_same("-O3", "-O3x"));
    assert_false(build_flags_are_same("-O3 -flto", "-flto -O3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_the_same_whatever_the_debug_information),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
