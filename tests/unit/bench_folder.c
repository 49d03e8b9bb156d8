/*
 * Only folders with our marker are ever emptied.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "bench/folder.h"

static char root[64];

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kiwi-folder-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void own_folder_is_wiped_and_removed(void **state)
{
    char folder[128], data[256], inner[300];

    (void)state;
    snprintf(folder, sizeof folder, "%s/a/b", root);
    assert_int_equal(data_folder_claim(folder), KIWI_OK);
    assert_int_equal(data_folder_claim(folder), KIWI_OK);
    data_folder_path(folder, data, sizeof data);
    assert_int_equal(folder_make(data), KIWI_OK);
    snprintf(inner, sizeof inner, "%s/table", data);
    write_file(inner, "0123456789");
    assert_true(folder_bytes(data) >= 10);
    assert_int_equal(data_folder_wipe(folder), KIWI_OK);
    assert_int_equal(access(data, F_OK), -1);
    data_folder_remove(folder);
    assert_int_equal(access(folder, F_OK), -1);
}

static void foreign_folder_is_refused_and_left_alone(void **state)
{
    char folder[128], inner[256], data[256];

    (void)state;
    snprintf(folder, sizeof folder, "%s/foreign", root);
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(inner, sizeof inner, "%s/thesis.txt", folder);
    write_file(inner, "years of work");
    snprintf(data, sizeof data, "%s/data", folder);
    assert_int_equal(mkdir(data, 0755), 0);
    assert_int_equal(data_folder_claim(folder), KIWI_INVALID);
    assert_int_equal(data_folder_wipe(folder), KIWI_INVALID);
    data_folder_remove(folder);
    assert_int_equal(access(inner, F_OK), 0);
    assert_int_equal(access(data, F_OK), 0);
}

static void what_others_put_beside_the_data_stays(void **state)
{
    char folder[128], inner[256];

    (void)state;
    snprintf(folder, sizeof folder, "%s/shared", root);
    assert_int_equal(data_folder_claim(folder), KIWI_OK);
    snprintf(inner, sizeof inner, "%s/notes", folder);
    write_file(inner, "kept");
    data_folder_remove(folder);
    assert_int_equal(access(inner, F_OK), 0);
}

static void folder_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(folder_make("/proc/nothing/here"), KIWI_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_folder_is_wiped_and_removed),
        cmocka_unit_test(foreign_folder_is_refused_and_left_alone),
        cmocka_unit_test(what_others_put_beside_the_data_stays),
        cmocka_unit_test(folder_that_cannot_be_made_is_an_error),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
