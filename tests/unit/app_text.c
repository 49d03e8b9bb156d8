/*
 * Bytes survive every form, and the command table is whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "app/config.h"
#include "app/text.h"
#include "kiwi/kiwi.h"

static const enum text_form forms[] = { FORM_ESCAPED, FORM_HEX, FORM_BASE64 };

static char *written(enum text_form form, const void *data, size_t size)
{
    char  *text = NULL;
    size_t bytes = 0;
    FILE  *stream = open_memstream(&text, &bytes);

    assert_non_null(stream);
    text_write(stream, form, data, size);
    fclose(stream);
    return text;
}

static void any_bytes_survive_every_form(void **state)
{
    uint8_t  data[600];
    uint32_t random = 12345;

    (void)state;
    for (size_t size = 0; size < sizeof data; size += size < 20 ? 1 : 97)
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            struct text_bytes back;
            char              why[80];
            char             *text;

            for (size_t j = 0; j < size; j++) {
                random = random * 1664525u + 1013904223u;
                data[j] = (uint8_t)(random >> 24);
            }
            text = written(forms[i], data, size);
            assert_true(text_decode(forms[i], text, &back, why, sizeof why));
            assert_int_equal(back.size, size);
            if (size > 0)
                assert_memory_equal(back.data, data, size);
            text_free(&back);
            free(text);
        }
}

static void malformed_texts_are_refused(void **state)
{
    static const struct {
        enum text_form form;
        const char    *text;
    } wrong[] = {
        { FORM_HEX, "0" },       { FORM_HEX, "0g" },       { FORM_HEX, "00 0" },
        { FORM_BASE64, "A" },    { FORM_BASE64, "AA" },    { FORM_BASE64, "A===" },
        { FORM_BASE64, "AA=A" }, { FORM_BASE64, "AB==" },  { FORM_BASE64, "A A=" },
        { FORM_ESCAPED, "\\" },  { FORM_ESCAPED, "\\x1" }, { FORM_ESCAPED, "\\q" },
        { FORM_ESCAPED, "\\xzz" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct text_bytes out;
        char              why[80] = "";

        if (text_decode(wrong[i].form, wrong[i].text, &out, why, sizeof why))
            fail_msg("'%s' was accepted", wrong[i].text);
        assert_true(why[0] != 0);
    }
}

static void known_vectors_match(void **state)
{
    char *text;

    (void)state;
    text = written(FORM_BASE64, "foobar", 6);
    assert_string_equal(text, "Zm9vYmFy");
    free(text);
    text = written(FORM_BASE64, "fooba", 5);
    assert_string_equal(text, "Zm9vYmE=");
    free(text);
    text = written(FORM_ESCAPED, "a\n\0\xff\\", 5);
    assert_string_equal(text, "a\\n\\x00\\xff\\\\");
    free(text);
}

static void only_well_formed_printable_text_is_utf8(void **state)
{
    (void)state;
    assert_true(text_is_utf8("", 0));
    assert_true(text_is_utf8("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\xa5\x9d", 14));
    assert_false(text_is_utf8("\0", 1));
    assert_false(text_is_utf8("a\nb", 3));
    assert_false(text_is_utf8("\xc3", 1));
    assert_false(text_is_utf8("\xc0\xaf", 2));
    assert_false(text_is_utf8("\xed\xa0\x80", 3));
    assert_false(text_is_utf8("\xf4\x90\x80\x80", 4));
    assert_false(text_is_utf8("\xff", 1));
}

static void sizes_and_counts_are_strict(void **state)
{
    uint64_t number = 0;

    (void)state;
    assert_true(text_size("64MiB", &number) && number == 64u << 20);
    assert_true(text_size("1GB", &number) && number == 1000000000u);
    assert_false(text_size("", &number));
    assert_false(text_size("0x10", &number));
    assert_false(text_size("1e6", &number));
    assert_false(text_size("5 parsecs", &number));
    assert_true(text_count("18446744073709551615", &number) && number == UINT64_MAX);
    assert_false(text_count("18446744073709551616", &number));
    assert_false(text_count("-1", &number));
    assert_false(text_count("", &number));
}

static void every_command_has_its_help_and_every_key_its_effect(void **state)
{
    size_t count = 0;

    (void)state;
    for (; command_at(count) != NULL; count++) {
        const struct command *command = command_at(count);

        assert_ptr_equal(command_find(command->name), command);
        assert_true((command->run != NULL) != (command->run_alone != NULL));
        assert_non_null(strstr(command->examples, "kiwidb"));
        assert_true(command->summary[0] != 0);
        assert_true(command->positional_max <= POSITIONAL_COUNT_MAX);
    }
    assert_true(count >= 8);
    for (count = 0; config_at(count) != NULL; count++) {
        assert_true(config_at(count)->effect[0] != 0);
        if (config_at(count)->kind != CONFIG_TEXT && !isnan(config_at(count)->initial)) {
            assert_true(config_at(count)->initial >= config_at(count)->low);
            assert_true(config_at(count)->initial <= config_at(count)->high);
        }
    }
    assert_int_equal(count, 16);
}

static const struct command quiet = { .name = "test" };

/* Applies NAME=VALUE in the env that the key acts in. */
static struct kiwi_options options_of(const struct config_key *key, double value)
{
    struct kiwi_options options = kiwi_options_default();
    struct arguments    arguments = { .setting_count = 2 };
    char                env[16], setting[80];

    options.memory_bytes = 1ull << 40;
    snprintf(env, sizeof env, "env=%s", key->env != NULL ? key->env : "dev");
    snprintf(setting, sizeof setting, "%s=%.15g", key->name, value);
    arguments.settings[0] = env;
    arguments.settings[1] = setting;
    assert_int_equal(config_apply(&quiet, &arguments, "/nonexistent", &options), EXIT_DONE);
    return options;
}

static double option_value(const struct config_key *key, const struct kiwi_options *options)
{
    const char *at = (const char *)options + key->option_offset;
    uint64_t    wide;
    uint32_t    narrow;
    double      share;

    if (key->option_offset == offsetof(struct kiwi_options, filter_false_share)) {
        memcpy(&share, at, sizeof share);
        return share;
    }
    if (key->option_bytes == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow / key->option_scale;
    }
    memcpy(&wide, at, sizeof wide);
    return (double)wide / key->option_scale;
}

/* Goal: no key only parses. */
static void every_key_that_acts_sets_an_option_of_the_engine(void **state)
{
    (void)state;
    for (size_t i = 1; config_at(i) != NULL; i++) {
        const struct config_key *key = config_at(i);
        struct kiwi_options      low = options_of(key, key->low), high = options_of(key, key->high);

        assert_int_equal(key->option_bytes == 0, key->when == CONFIG_NEVER);
        assert_int_equal(kiwi_options_check(&low), KIWI_OK);
        assert_int_equal(kiwi_options_check(&high), KIWI_OK);
        if (key->when == CONFIG_NEVER)
            continue;
        assert_true(fabs(option_value(key, &low) - key->low) <= 1e-9 * key->low);
        assert_true(fabs(option_value(key, &high) - key->high) <= 1e-9 * key->high);
    }
}

/* Goal: a default that is shown is the engine's. */
static void defaults_that_are_shown_are_those_of_the_engine(void **state)
{
    struct kiwi_options options = kiwi_options_default();
    struct kiwi_db     *db;
    char                directory[] = "/tmp/kiwi-defaults-XXXXXX", command[80];

    (void)state;
    assert_non_null(mkdtemp(directory));
    options.io_backend = KIWI_IO_POSIX;
    options.memory_bytes = 8u << 20;
    assert_int_equal(kiwi_open(directory, &options, &db), KIWI_OK);
    for (size_t i = 1; config_at(i) != NULL; i++)
        if (!isnan(config_at(i)->initial))
            assert_true(option_value(config_at(i), kiwi_db_options(db)) == config_at(i)->initial);
    assert_int_equal(kiwi_close(db), KIWI_OK);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_survive_every_form),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(known_vectors_match),
        cmocka_unit_test(only_well_formed_printable_text_is_utf8),
        cmocka_unit_test(sizes_and_counts_are_strict),
        cmocka_unit_test(every_command_has_its_help_and_every_key_its_effect),
        cmocka_unit_test(every_key_that_acts_sets_an_option_of_the_engine),
        cmocka_unit_test(defaults_that_are_shown_are_those_of_the_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
