/*
 * Where control groups for memory caps are made, and what a group holds its processes to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/cap.h"
#include "bench/child.h"

static const char mounts_first[] =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "31 22 0:27 / /sys/fs/cgroup/cpu rw shared:9 master:2 - cgroup cgroup rw,cpu\n"
    "32 22 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
static const char mounts_unified[] =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
static const char mounts_part[] =
    "32 22 0:28 /box/a7 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

static void expect_place(const char *mounts, const char *groups, const char *folder,
                         bool is_unified)
{
    struct memory_cap cap;
    size_t            top;

    assert_int_equal(memory_cap_place(mounts, groups, &cap, &top), KIWI_OK);
    assert_string_equal(cap.folder, folder);
    assert_int_equal(cap.is_unified, is_unified);
    assert_true(top <= strlen(folder));
    assert_false(cap.is_permitted);
}

static void the_memory_controllers_own_hierarchy_comes_first(void **state)
{
    (void)state;
    expect_place(mounts_first, "4:memory:/job/7\n1:cpu:/\n0::/\n", "/sys/fs/cgroup/memory/job/7",
                 false);
    expect_place(mounts_first, "0::/other\n4:cpu,memory:/\n", "/sys/fs/cgroup/memory", false);
}

static void without_it_the_unified_hierarchy_is_used(void **state)
{
    (void)state;
    expect_place(mounts_unified, "0::/user.slice/session-2.scope\n",
                 "/sys/fs/cgroup/user.slice/session-2.scope", true);
    expect_place(mounts_unified, "0::/\n", "/sys/fs/cgroup", true);
}

static void of_a_hierarchy_mounted_in_part_only_the_rest_of_the_path_is_there(void **state)
{
    (void)state;
    expect_place(mounts_part, "4:memory:/box/a7\n", "/sys/fs/cgroup/memory", false);
    expect_place(mounts_part, "4:memory:/box/a7/job\n", "/sys/fs/cgroup/memory/job", false);
    expect_place(mounts_unified, "0::/../sibling\n", "/sys/fs/cgroup", true);
}

static void without_a_memory_controller_the_reason_is_told(void **state)
{
    static const char *const groups[] = { "", "1:cpu:/\n", "4:memory:/job\n", "nonsense\n:\n" };
    static const char *const mounts[] = { mounts_first, mounts_unified, mounts_unified,
                                          mounts_first };
    struct memory_cap        cap;
    size_t                   top;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(groups); i++) {
        assert_int_equal(memory_cap_place(mounts[i], groups[i], &cap, &top), KIWI_NOT_FOUND);
        assert_non_null(strstr(fail_text(), "no control groups with a memory controller"));
    }
}

/* Goal: the page cache counts. Method: a child writes 64 MiB to a file under a cap of 24 MiB. The
 * group never holds more, and the child ends well, or is ended where files are nothing but memory.
 */
static void a_group_holds_the_page_cache_of_its_processes_to_the_cap(void **state)
{
    char        script[] = "dd if=/dev/zero of=/tmp/kiwi-cap-$$ bs=1M count=64 2>&1; "
                           "code=$?; rm -f /tmp/kiwi-cap-$$; exit $code";
    char       *argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", script, NULL };
    const uint64_t            cap_bytes = 24u << 20;
    struct memory_cap         cap;
    struct memory_group       group;
    struct memory_group_usage usage;
    struct child_result       result;
    char                      entry[CAP_PATH_BYTES];

    (void)state;
    memory_cap_find(&cap);
    if (!cap.is_permitted) {
        assert_true(cap.reason[0] != 0);
        print_message("skipped: no memory cap is permitted here: %s\n", cap.reason);
        skip();
    }
    assert_int_equal(memory_group_open(&cap, cap_bytes, &group), KIWI_OK);
    memory_group_entry(&group, entry);
    assert_int_equal(child_run(&(struct child_options){ .argv = argv, .group = entry }, &result),
                     KIWI_OK);
    memory_group_usage_read(&group, &usage);
    assert_int_equal(memory_group_close(&group), KIWI_OK);
    assert_int_not_equal(access(group.folder, F_OK), 0);
    assert_true((result.exit_code == 0) == (usage.kill_count == 0));
    /* Not every kernel of the second version counts the peak. */
    assert_true(usage.peak_bytes <= cap_bytes);
    assert_true(group.is_unified || usage.peak_bytes > 0);
    child_result_free(&result);
}

static void a_group_that_is_not_there_is_no_place_to_start_a_program_in(void **state)
{
    char               *argv[] = { (char *)(uintptr_t)"true", NULL };
    struct child_result result;

    (void)state;
    assert_int_equal(child_run(&(struct child_options){ .argv = argv,
                                                        .group = "/nowhere/cgroup.procs" },
                               &result),
                     KIWI_IO);
    assert_non_null(strstr(fail_text(), "/nowhere/cgroup.procs"));
    child_result_free(&result);
}

static void the_drivers_allowance_grows_with_its_threads(void **state)
{
    (void)state;
    assert_int_equal(memory_cap_allowance(1), 49u << 20);
    assert_int_equal(memory_cap_allowance(64), 112u << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_memory_controllers_own_hierarchy_comes_first),
        cmocka_unit_test(without_it_the_unified_hierarchy_is_used),
        cmocka_unit_test(of_a_hierarchy_mounted_in_part_only_the_rest_of_the_path_is_there),
        cmocka_unit_test(without_a_memory_controller_the_reason_is_told),
        cmocka_unit_test(a_group_holds_the_page_cache_of_its_processes_to_the_cap),
        cmocka_unit_test(a_group_that_is_not_there_is_no_place_to_start_a_program_in),
        cmocka_unit_test(the_drivers_allowance_grows_with_its_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
