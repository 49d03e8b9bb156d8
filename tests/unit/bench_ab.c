/*
 * What is left of a comparison: folders with names of their own, sentences, a document.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>
#include <unistd.h>

#include "bench/ab.h"
#include "core/base/memory.h"

#define FOLDER_COUNT 8u

static char root[64];

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kiwi-ab-test-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

static struct ab *ab_make(const char *verdict)
{
    struct ab *ab = memory_allocate_zeroed(sizeof *ab);

    assert_non_null(ab);
    ab->programs[AB_BASE] = "old";
    ab->programs[AB_CANDIDATE] = "new";
    ab->results = "deep/ab";
    ab->gate = 0.03;
    ab->verdict = verdict;
    snprintf(ab->machine.fingerprint, sizeof ab->machine.fingerprint, "0011223344556677");
    return ab;
}

static void ab_end(struct ab *ab)
{
    ab_close(ab);
    memory_free(ab);
}

/* A session with one look, after ten pairs of that change in per cent. */
static void session_add(struct ab *ab, double change, enum ab_verdict verdict)
{
    struct ab_session *session = &ab->sessions[ab->session_count++];

    for (; session->pair_count < 10; session->pair_count++)
        session->candidate[session->pair_count] = log1p(change / 100);
    session->looks[0].pairs = 10;
    session->looks[0].judgement = ab_judge(session->candidate, session->canary, 0, log1p(ab->gate));
    session->looks[0].judgement.verdict = verdict;
    session->look_count = 1;
}

static void sentence_expect(const struct ab *ab, const char *words)
{
    char text[900];

    if (strstr(ab_sentence(ab, text, sizeof text), words) == NULL)
        fail_msg("no '%s' in '%s'", words, text);
}

/* Several a second: which of them, only the clock knows. */
static void every_folder_has_a_name_of_its_own(void **state)
{
    char   names[FOLDER_COUNT][160];
    size_t numbered = 0;

    (void)state;
    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        struct ab *ab = ab_make("pass");

        ab->builds[AB_BASE] = json_pack("{s:s}", "commit", "0123456789abcdef");
        ab->builds[AB_CANDIDATE] = json_pack("{s:s}", "commit", "../../etc");
        assert_int_equal(ab_folder_open(ab), KIWI_OK);
        snprintf(names[i], sizeof names[i], "%s", ab->id);
        assert_non_null(strstr(names[i], "Z-01234567-unknown-00112233"));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
        numbered += strcmp(names[i] + strlen(names[i]) - 8, "00112233") != 0;
        if (i > 0 && strncmp(names[i], names[i - 1], 16) == 0)
            assert_true(numbered > 0);
        assert_int_equal(access(ab->folder, W_OK), 0);
        ab_end(ab);
    }
}

static void a_folder_below_a_file_is_refused(void **state)
{
    struct ab *ab = ab_make("pass");
    FILE      *file = fopen("occupied", "w");

    (void)state;
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    ab->results = "occupied";
    assert_int_equal(ab_folder_open(ab), KIWI_IO);
    assert_non_null(strstr(fail_text(), "cannot make occupied/"));
    ab_end(ab);
}

static void a_sentence_says_what_the_last_look_says(void **state)
{
    struct ab *ab = ab_make("pass");

    (void)state;
    session_add(ab, 1, AB_PASS);
    sentence_expect(ab, "not slower: +1.00 % CPU time per operation");
    ab->session_count = 0;
    memset(ab->sessions, 0, sizeof ab->sessions);
    session_add(ab, -20, AB_PASS);
    ab->is_wall = true;
    sentence_expect(ab, "is faster: -20.00 % wall time per operation");
    sentence_expect(ab, "gate 3 %");
    ab->verdict = "undecided";
    sentence_expect(ab, "Undecided after 10 pairs: -20.00 %");
    session_add(ab, 7, AB_SLOWER);
    ab->verdict = "slower";
    sentence_expect(ab, "slower, in two sessions: +7.00 %");
    ab_end(ab);
}

static void without_a_look_there_is_a_sentence_too(void **state)
{
    struct ab *ab = ab_make("interrupted");
    json_t    *document;

    (void)state;
    sentence_expect(ab, "Interrupted after 0 pairs");
    ab->verdict = "failed";
    snprintf(ab->stopped_by, sizeof ab->stopped_by, "no such thing");
    sentence_expect(ab, "Failed after 0 pairs: no such thing");
    document = ab_json(ab);
    assert_null(json_object_get(document, "smallest_detectable_percent"));
    assert_int_equal(json_array_size(json_object_get(document, "sessions")), 0);
    json_decref(document);
    ab_end(ab);
}

static void words_that_are_no_text_do_not_lose_the_verdict(void **state)
{
    char       word[] = "caf\xe9", *words[] = { word };
    struct ab *ab = ab_make("pass");
    json_t    *document;

    (void)state;
    ab->arguments = words;
    ab->argument_count = 1;
    ab->programs[AB_BASE] = word;
    snprintf(ab->command, sizeof ab->command, "kiwidb bench ab %s", word);
    session_add(ab, 1, AB_PASS);
    assert_int_equal(ab_folder_open(ab), KIWI_OK);
    assert_int_equal(ab_files_write(ab), KIWI_OK);
    document = ab_json(ab);
    assert_string_equal(json_string_value(json_object_get(document, "verdict")), "pass");
    assert_int_equal(json_array_size(json_object_get(document, "arguments")), 1);
    json_decref(document);
    ab_end(ab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_folder_has_a_name_of_its_own),
        cmocka_unit_test(a_folder_below_a_file_is_refused),
        cmocka_unit_test(a_sentence_says_what_the_last_look_says),
        cmocka_unit_test(without_a_look_there_is_a_sentence_too),
        cmocka_unit_test(words_that_are_no_text_do_not_lose_the_verdict),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
