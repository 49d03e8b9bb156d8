/*
 * verb.c: the table of verbs.
 */
#include "bench/verb.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "core/base/base.h"
#include "workloads/catalogue.h"

static const struct bench_verb verbs[] = {
#ifdef BENCH_HAS_KIWI
    { "gate", "counters that repeat exactly, against results/baselines", verb_gate },
#endif
    { "ab", "two programs, paired and interleaved: is the second slower?", verb_ab },
    { "versus", "engines side by side, interleaved: one table with ratios", verb_versus },
    { "replay", "the operations of a trace, at any speed, on any engine", verb_replay },
    { "report", "one HTML page from a result, or from two overlaid", verb_report },
    { "compare", "two results side by side", verb_compare },
    { "repeat", "the command that makes a result again", verb_repeat },
    { "history", "results over time: where do they step to another level?", verb_history },
    { "merge", "histogram logs of several processes as one", verb_merge },
};

const struct bench_verb *bench_verb_at(size_t index)
{
    return index < ARRAY_COUNT(verbs) ? &verbs[index] : NULL;
}

const struct bench_verb *bench_verb_find(const char *name)
{
    for (size_t i = 0; bench_verb_at(i) != NULL; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

void failure_text(char *text, size_t bytes)
{
    const char *whole = fail_text(), *mark = strrchr(whole, '[');
    size_t      length = strlen(whole);

    if (mark != NULL && mark > whole && mark[-1] == ' ' && strstr(mark, ".c:") != NULL)
        length = (size_t)(mark - whole) - 1;
    snprintf(text, bytes, "%.*s", (int)length, whole);
}

int verb_failed(const char *name)
{
    char text[1024];

    failure_text(text, sizeof text);
    fprintf(stderr, "kiwidb bench %s: %s\n", name, text);
    return BENCH_ENVIRONMENT;
}

int verb_usage(const char *name, const char *text)
{
    fprintf(stderr, "kiwidb bench %s: usage: %s\n", name, text);
    return BENCH_USAGE;
}

int verb_parse(const char *name, const char *help, int argc, char **argv, bool *is_forced)
{
    static const struct option options[] = { { "help", 0, NULL, 'h' },
                                             { "force", 0, NULL, 'f' },
                                             { NULL, 0, NULL, 0 } };
    static const struct option only_help[] = { { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    const struct option       *known = is_forced != NULL ? options : only_help;
    int                        id;

    optind = 0;
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
        if (id == 'h') {
            printf("usage: kiwidb bench %s\n", help);
            return BENCH_DONE;
        }
        if (id != 'f')
            return verb_option_wrong(name, known, id, argv);
        *is_forced = true;
    }
    return VERB_GOES_ON;
}

int verb_option_wrong(const char *name, const struct option *options, int id, char **argv)
{
    const char *given = argv[optind - 1];
    char        words[256] = "", word[48], nearest[96] = "";
    size_t      used = 0;

    given += strspn(given, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    if (id == ':') {
        fprintf(stderr, "kiwidb bench %s: --%s wants a value; see --help\n", name, word);
        return BENCH_USAGE;
    }
    for (size_t i = 0; options[i].name != NULL && used < sizeof words; i++)
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", i == 0 ? "" : " ",
                                 options[i].name);
    fprintf(stderr, "kiwidb bench %s: unknown option '%s'%s; see --help\n", name, word,
            word_suggest(words, word, nearest, sizeof nearest));
    return BENCH_USAGE;
}

void command_append(char *text, size_t bytes, const char *word)
{
    size_t at = strlen(text);
    bool   is_plain = word[0] != 0
                 && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "-_./=:,+@%")
                        == strlen(word);

    if (at + 4 > bytes) /* a quote at each end, and the zero */
        return;
    if (is_plain) {
        snprintf(text + at, bytes - at, " %s", word);
        return;
    }
    at += (size_t)snprintf(text + at, bytes - at, " '");
    for (; *word != 0 && at + 6 < bytes; word++) {
        if (*word == '\'')
            at += (size_t)snprintf(text + at, bytes - at, "'\\''");
        else
            text[at++] = *word;
    }
    text[at++] = '\'';
    text[at] = 0;
}
