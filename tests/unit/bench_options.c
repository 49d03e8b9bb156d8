/*
 * The command line is understood, or refused with one useful line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/options.h"
#include "bench/verb.h"

static enum kiwi_status parse(struct bench_options *options, const char *first, ...)
{
    char   *argv[32] = { (char *)(uintptr_t)"bench" };
    int     argc = 1;
    va_list words;

    va_start(words, first);
    for (const char *word = first; word != NULL; word = va_arg(words, const char *))
        argv[argc++] = (char *)(uintptr_t)word;
    va_end(words);
    return bench_options_parse(argc, argv, options);
}

static void sizes_tell_binary_and_decimal_apart(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    assert_int_equal(size_parse("512MiB", &bytes), KIWI_OK);
    assert_int_equal(bytes, 512ull << 20);
    assert_int_equal(size_parse("1GB", &bytes), KIWI_OK);
    assert_int_equal(bytes, 1000000000u);
    assert_int_equal(size_parse("1.5KiB", &bytes), KIWI_OK);
    assert_int_equal(bytes, 1536);
    assert_int_equal(size_parse("0", &bytes), KIWI_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(size_parse("12 MB", &bytes), KIWI_OK);
    static const char *const wrong[] = { "", "MiB", "-1", "1XB", "1mib", "0x10", "99999999999TB" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (size_parse(wrong[i], &bytes) != KIWI_INVALID)
            fail_msg("'%s' was taken for a size", wrong[i]);
}

static void counts_and_times_have_their_suffixes(void **state)
{
    uint64_t count = 0;
    double   seconds = 0;

    (void)state;
    assert_int_equal(count_parse("1M", &count), KIWI_OK);
    assert_int_equal(count, 1000000);
    assert_int_equal(count_parse("2.5k", &count), KIWI_OK);
    assert_int_equal(count, 2500);
    assert_int_equal(count_parse("1.5", &count), KIWI_INVALID);
    assert_int_equal(count_parse("1Mx", &count), KIWI_INVALID);
    assert_int_equal(count_parse("-1", &count), KIWI_INVALID);
    assert_int_equal(seconds_parse("250ms", &seconds), KIWI_OK);
    assert_true(seconds == 0.25);
    assert_int_equal(seconds_parse("2m", &seconds), KIWI_OK);
    assert_true(seconds == 120);
    assert_int_equal(seconds_parse("2 weeks", &seconds), KIWI_INVALID);
}

static void defaults_are_those_of_the_help(void **state)
{
    struct bench_options options;

    (void)state;
    assert_int_equal(parse(&options, "file", NULL), KIWI_OK);
    assert_int_equal(options.file_count, 1);
    assert_int_equal(options.model, CLIENT_ATTACHED);
    assert_int_equal(options.memory_bytes, 512ull << 20);
    assert_int_equal(options.seed, 42);
    assert_true(options.is_verifying);
    assert_false(options.has_seed);
    bench_options_free(&options);
}

static void options_become_settings_and_overrides(void **state)
{
    struct bench_options options;

    (void)state;
    assert_int_equal(parse(&options, "--preset", "quick", "--client=blocking", "--threads", "8",
                           "--durability", "durable", "--memory", "1GiB", "--seed", "7",
                           "--records", "5k", "--ops=1M", "--value-bytes", "1KiB", "-p",
                           "zeropadding=20", "--no-verify", "--keep", "--json", "--engine", "null",
                           NULL), KIWI_OK);
    assert_string_equal(options.preset, "quick");
    assert_int_equal(options.model, CLIENT_BLOCKING);
    assert_int_equal(options.threads, 8);
    assert_int_equal(options.durability, KIWI_DURABLE);
    assert_int_equal(options.memory_bytes, 1ull << 30);
    assert_true(options.has_seed && options.seed == 7);
    assert_string_equal(properties_find(&options.overrides, "recordcount")->value, "5000");
    assert_string_equal(properties_find(&options.overrides, "operationcount")->value, "1000000");
    assert_string_equal(properties_find(&options.overrides, "fieldlength")->value, "1024");
    assert_string_equal(properties_find(&options.overrides, "fieldcount")->value, "1");
    assert_string_equal(properties_find(&options.overrides, "zeropadding")->value, "20");
    assert_false(options.is_verifying);
    assert_true(options.is_keeping && options.is_json);
    bench_options_free(&options);
}

static void rate_and_target_are_one_option(void **state)
{
    static const char *const names[] = { "--rate=50k", "--target=50k" };
    struct bench_options     options;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(parse(&options, names[i], "--arrivals=constant", "file", NULL), KIWI_OK);
        assert_true(options.target == 50000 && options.is_constant);
        bench_options_free(&options);
    }
    assert_int_equal(parse(&options, "--rate=0", "file", NULL), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "--rate 0 is outside"));
    bench_options_free(&options);
}

static void wrong_usage_is_told_in_one_line(void **state)
{
    static const char *const wrong[][3] = {
        { "--preset", NULL, "needs an argument" },
        { "--presett=quick", NULL, "did you mean '--preset'" },
        { "--zzzzzz", NULL, "unknown option 'zzzzzz'" },
        { "-x", "file", "unknown option" },
        { "--client=fast", "file", "attached, managed, blocking" },
        { "--client=blockin", "file", "did you mean 'blocking'?" },
        { "--durability=durabel", "file", "did you mean 'durable'?" },
        { "--arrivals=poison", "file", "did you mean 'poisson'?" },
        { "--durability=maybe", "file", "durable, process, memory" },
        { "--memory=1MiB", "file", "below 8MiB" },
        { "--threads=0", "file", "outside 1 to 1024" },
        { "--depth=5000", "file", "outside 1 to 4096" },
        { "--engine=oracle", "file", "none of" },
        { "--kill-rounds=0", "file", "outside 1 to 100" },
        { "-pnovalue", "file", "NAME=VALUE" },
        { "--suite=A b", "file", "small letters" },
        { "--warm-up=-1", "file", "outside" },
        { "--preset=quick", "file", "exclude each other" },
        { "--quiet", NULL, "no workload file" },
        { "--ladder", "file", "--ladder --slo p99=1ms" },
        { "--slo=p99=1ms", "file", "is for --ladder" },
        { "--slo=p98=1ms", "file", "did you mean 'p99'?" },
    };
    struct bench_options options;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (parse(&options, wrong[i][0], wrong[i][1], NULL) != KIWI_INVALID)
            fail_msg("%s was accepted", wrong[i][0]);
        if (strstr(fail_text(), wrong[i][2]) == NULL)
            fail_msg("%s: %s", wrong[i][0], fail_text());
        bench_options_free(&options);
    }
    assert_int_equal(parse(&options, "--engine=null", "--kill-check", "file", NULL), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "keeps nothing"));
    assert_int_equal(parse(&options, "--client=blocking", "--depth=4", "file", NULL), KIWI_INVALID);
    bench_options_free(&options);
    assert_int_equal(parse(&options, "--ladder", "--slo=p99=1ms", "--rate=5", "file", NULL),
                     KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "exclude each other"));
    bench_options_free(&options);
}

static void help_fits_eighty_columns(void **state)
{
    char   line[512];
    size_t lines = 0;
    FILE  *file = tmpfile();

    (void)state;
    assert_non_null(file);
    bench_help(file);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        lines++;
        if (strlen(line) > 81)
            fail_msg("%zu columns: %s", strlen(line) - 1, line);
    }
    assert_true(lines > 30);
    fclose(file);
}

static void a_command_is_what_a_shell_takes_apart_again(void **state)
{
    static const char *const words[] = { "--records=1k", "", "a b", "it's", "$HOME" };
    char                     text[80] = "kiwidb";

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        command_append(text, sizeof text, words[i]);
    assert_string_equal(text, "kiwidb --records=1k '' 'a b' 'it'\\''s' '$HOME'");
}

static void a_command_too_long_ends_inside_its_room(void **state)
{
    (void)state;
    for (size_t bytes = 8; bytes < 24; bytes++) {
        char text[32];

        memset(text, '#', sizeof text);
        snprintf(text, bytes, "kiwidb");
        command_append(text, bytes, "'a' 'b' 'c'");
        command_append(text, bytes, "d e");
        assert_true(strnlen(text, bytes) < bytes);
        assert_int_equal(text[bytes], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_tell_binary_and_decimal_apart),
        cmocka_unit_test(counts_and_times_have_their_suffixes),
        cmocka_unit_test(defaults_are_those_of_the_help),
        cmocka_unit_test(options_become_settings_and_overrides),
        cmocka_unit_test(rate_and_target_are_one_option),
        cmocka_unit_test(wrong_usage_is_told_in_one_line),
        cmocka_unit_test(a_command_is_what_a_shell_takes_apart_again),
        cmocka_unit_test(a_command_too_long_ends_inside_its_room),
        cmocka_unit_test(help_fits_eighty_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
