/*
 * The linter knows every name and suggests the nearest one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "workloads/catalogue.h"

static enum kiwi_status linted(const char *text, struct lint *lint)
{
    struct properties properties = { 0 };
    enum kiwi_status  status;

    memset(lint, 0, sizeof *lint);
    assert_int_equal(properties_parse(&properties, "w", text, strlen(text)), KIWI_OK);
    status = lint_properties(lint, &properties);
    properties_free(&properties);
    return status;
}

static bool lint_has(const struct lint *lint, enum lint_kind kind, const char *words)
{
    for (size_t i = 0; i < lint->count; i++)
        if (lint->findings[i].kind == kind && strstr(lint->findings[i].text, words) != NULL)
            return true;
    return false;
}

static void edit_distance_counts_single_changes(void **state)
{
    (void)state;
    assert_int_equal(edit_distance("", ""), 0);
    assert_int_equal(edit_distance("abc", "abc"), 0);
    assert_int_equal(edit_distance("abc", ""), 3);
    assert_int_equal(edit_distance("abc", "acb"), 1);
    assert_int_equal(edit_distance("readpropotion", "readproportion"), 1);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
}

static void misspelt_name_is_an_error_with_the_nearest_one(void **state)
{
    struct lint lint;

    (void)state;
    assert_int_equal(linted("workload=core\nreadpropotion=0.5\n", &lint), KIWI_INVALID);
    assert_int_equal(lint.error_count, 1);
    assert_true(lint_has(&lint, LINT_ERROR, "w:2"));
    assert_true(lint_has(&lint, LINT_ERROR, "did you mean 'readproportion'"));
    lint_free(&lint);
    assert_int_equal(linted("workload=core\nzzzzzzzz=1\n", &lint), KIWI_INVALID);
    assert_true(lint_has(&lint, LINT_ERROR, "unknown property 'zzzzzzzz'"));
    assert_false(lint_has(&lint, LINT_ERROR, "did you mean"));
    lint_free(&lint);
}

static void values_are_checked_against_type_and_range(void **state)
{
    static const char *const wrong[] = {
        "recordcount=ten",   "recordcount=-1",  "recordcount=1.5",          "readproportion=x",
        "readproportion=-1", "fieldcount=0",    "requestdistribution=zipf", "zeropadding=100000",
        "status=maybe",      "hotspotdatafraction=1.5", "recordcount=1e400", "readproportion=nan",
        "kiwi.durability=safe", "workload=site.ycsb.workloads.TimeSeriesWorkload",
    };
    struct lint lint;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[200];

        snprintf(text, sizeof text, "workload=core\n%s\n", wrong[i]);
        if (linted(text, &lint) != KIWI_INVALID)
            fail_msg("%s was accepted", wrong[i]);
        lint_free(&lint);
    }
}

static void misspelt_value_names_the_nearest_choice(void **state)
{
    static const struct {
        const char *line, *nearest;
    } cases[] = {
        { "requestdistribution=zipfain", "did you mean 'zipfian'?" },
        { "requestdistribution=zipf", "did you mean 'zipfian'?" },
        { "requestdistribution=hotspott", "did you mean 'hotspot'?" },
        { "kiwi.durability=durabel", "did you mean 'durable'?" },
        { "status=ture", "did you mean 'true'?" },
        { "requestdistribution=zzzzzzzz", NULL },
        { "requestdistribution=q", NULL },
    };
    struct lint lint;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *wanted = cases[i].nearest != NULL ? cases[i].nearest : "did you mean";
        char        text[200];

        snprintf(text, sizeof text, "workload=core\n%s\n", cases[i].line);
        assert_int_equal(linted(text, &lint), KIWI_INVALID);
        if (lint_has(&lint, LINT_ERROR, wanted) != (cases[i].nearest != NULL))
            fail_msg("%s: '%s' is %s", cases[i].line, wanted,
                     cases[i].nearest != NULL ? "missing" : "said");
        lint_free(&lint);
    }
}

static void inherited_and_ignored_and_trimmed_are_told(void **state)
{
    struct lint lint;

    (void)state;
    assert_int_equal(linted("workload=core\nupdateproportion=1 \nwriteallfields=true\n", &lint),
                     KIWI_OK);
    assert_true(lint_has(&lint, LINT_INHERITED, "readproportion is not set: 0.95"));
    assert_true(lint_has(&lint, LINT_IGNORED, "writeallfields"));
    assert_true(lint_has(&lint, LINT_TRIMMED, "updateproportion"));
    lint_free(&lint);
}

static void workload_class_is_required(void **state)
{
    struct lint lint;

    (void)state;
    assert_int_equal(linted("recordcount=1\n", &lint), KIWI_INVALID);
    lint_free(&lint);
    assert_int_equal(linted("workload=com.yahoo.ycsb.workloads.CoreWorkload\n", &lint), KIWI_OK);
    lint_free(&lint);
}

static void names_are_known_once_and_their_defaults_pass_the_linter(void **state)
{
    (void)state;
    for (size_t i = 0; catalogue_at(i) != NULL; i++) {
        const struct property_rule *rule = catalogue_at(i);
        struct lint                 lint;
        char                        text[300];

        assert_ptr_equal(catalogue_find(rule->name), rule);
        assert_non_null(rule->note);
        snprintf(text, sizeof text, "workload=core\n%s=%s\n", rule->name,
                 rule->initial != NULL ? rule->initial : "core");
        assert_int_equal(linted(text, &lint), KIWI_OK);
        lint_free(&lint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edit_distance_counts_single_changes),
        cmocka_unit_test(misspelt_name_is_an_error_with_the_nearest_one),
        cmocka_unit_test(values_are_checked_against_type_and_range),
        cmocka_unit_test(misspelt_value_names_the_nearest_choice),
        cmocka_unit_test(inherited_and_ignored_and_trimmed_are_told),
        cmocka_unit_test(workload_class_is_required),
        cmocka_unit_test(names_are_known_once_and_their_defaults_pass_the_linter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
