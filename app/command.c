/*
 * command.c: the table of commands and options, and everything derived from it.
 */
#include "app/command.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "app/text.h"
#include "kiwi/status.h"

#define WHAT_BYTES_SHOWN 200
#define KEY_OPTIONS "dir in out json memory io-backend set help"

static const struct command commands[] = {
    { "bench", "run YCSB workloads and report latency, levels and amplification",
      "[options] FILE...", "  kiwidb bench --preset quick\n", "", 0, 0, NULL, bench_command },
    { "put", "store a value", "KEY [VALUE]",
      "  kiwidb put greeting 'hello world'\n"
      "  kiwidb put photo < photo.jpg               value from standard input\n"
      "  kiwidb put --in hex 00ff 68656c6c6f\n",
      "durability create " KEY_OPTIONS, 1, 2, command_put, NULL },
    { "get", "print a value", "KEY",
      "  kiwidb get greeting\n"
      "  kiwidb get photo > photo.jpg               the exact bytes\n"
      "  kiwidb get greeting --out hex\n"
      "  kiwidb get greeting --explain              what answered, blocks, times\n"
      "  kiwidb get nobody || echo missing          exit 1: no such key\n",
      "explain " KEY_OPTIONS, 1, 1, command_get, NULL },
    { "del", "delete a key; deleting a missing one is no error", "KEY", "  kiwidb del greeting\n",
      "durability " KEY_OPTIONS, 1, 1, command_delete, NULL },
    { "scan", "print keys and values in key order", "[PREFIX]",
      "  kiwidb scan user: --limit 10\n"
      "  kiwidb scan --from a --to b --keys-only\n"
      "  kiwidb scan --reverse --limit 1            the last key\n"
      "  kiwidb scan --count\n",
      "from to limit reverse keys-only count " KEY_OPTIONS, 0, 1, command_scan, NULL },
    { "stat", "show counters, levels and caches of a database", "",
      "  kiwidb stat\n  kiwidb stat --json\n", "dir json memory io-backend set help", 0, 0,
      command_stat, NULL },
    { "verify", "read a whole database that nobody has open; tell what is damaged", "[DIR]",
      "  kiwidb verify\n"
      "  kiwidb verify /var/lib/shop --json\n"
      "  kiwidb verify backup || echo damaged       exit 4: damage was found\n",
      "dir json quiet io-backend help", 0, 1, command_verify, NULL },
    { "repair", "copy what can be read of a damaged database into a new one", "[DIR] --into NEW",
      "  kiwidb repair shop --into shop-saved --dry-run\n"
      "  kiwidb repair shop --into shop-saved       exit 4: something was lost\n",
      "dir into dry-run json quiet memory io-backend help", 0, 1, command_repair, NULL },
    { "config", "show and change the options kept in a database's config.json",
      "list | diff | get NAME | explain NAME | set NAME VALUE",
      "  kiwidb config list\n"
      "  kiwidb config diff                         only what is not the default\n"
      "  kiwidb config get max_memtable_size_mb\n"
      "  kiwidb config set env prod\n"
      "  KIWI_MAX_LEVELS=3 kiwidb config explain max_levels\n",
      "dir json set help", 1, 3, command_config, NULL },
    { "version", "print version and features", "", "  kiwidb version --json\n", "json help", 0, 0,
      command_version, NULL },
    { "help", "print this text, or that of a command", "[COMMAND]", "  kiwidb help get\n", "help",
      0, 1, command_help, NULL },
};

struct option_rule {
    const char *name;
    int         letter;     /* 0: none */
    const char *argument;   /* NULL: takes none */
    const char *help;
};

enum {
    OPTION_DIR, OPTION_IN, OPTION_OUT, OPTION_JSON, OPTION_MEMORY, OPTION_DURABILITY, OPTION_CREATE,
    OPTION_FROM, OPTION_TO, OPTION_LIMIT, OPTION_REVERSE, OPTION_KEYS_ONLY, OPTION_COUNT,
    OPTION_IO_BACKEND, OPTION_SET, OPTION_INTO, OPTION_EXPLAIN, OPTION_DRY_RUN, OPTION_QUIET,
    OPTION_HELP,
    OPTION_RULE_COUNT,
};

static const struct option_rule option_rules[OPTION_RULE_COUNT] = {
    [OPTION_DIR] = { "dir", 'd', "DIR", "the database; default $KIWI_DIR, then ./kiwi-data" },
    [OPTION_IN] = { "in", 0, "FORM", "of keys and values given: text, escaped, hex, base64" },
    [OPTION_OUT] = { "out", 0, "FORM", "of what is printed: those, or raw (default in a pipe)" },
    [OPTION_JSON] = { "json", 0, NULL, "one JSON document instead" },
    [OPTION_MEMORY] = { "memory", 0, "SIZE", "what the engine may keep, as 64MiB (default)" },
    [OPTION_DURABILITY] = { "durability", 0, "MODE", "durable (default), process or memory" },
    [OPTION_CREATE] = { "create", 0, NULL, "make the database when there is none" },
    [OPTION_FROM] = { "from", 0, "KEY", "the first key, included" },
    [OPTION_TO] = { "to", 0, "KEY", "the last key, not included" },
    [OPTION_LIMIT] = { "limit", 'n', "N", "at most this many rows" },
    [OPTION_REVERSE] = { "reverse", 'r', NULL, "from the last to the first" },
    [OPTION_KEYS_ONLY] = { "keys-only", 'k', NULL, "no values" },
    [OPTION_COUNT] = { "count", 'c', NULL, "only how many there are" },
    [OPTION_IO_BACKEND] = { "io-backend", 0, "NAME", "uring (default) or posix" },
    [OPTION_SET] = { "set", 0, "NAME=VALUE", "a key of config.json, for this run alone" },
    [OPTION_INTO] = { "into", 0, "NEW", "the new database's directory; must not exist" },
    [OPTION_EXPLAIN] = { "explain", 0, NULL, "what the read touched, to standard error" },
    [OPTION_DRY_RUN] = { "dry-run", 0, NULL, "say what would be done, make nothing" },
    [OPTION_QUIET] = { "quiet", 'q', NULL, "no notes, no progress" },
    [OPTION_HELP] = { "help", 'h', NULL, "this text" },
};

const struct command *command_at(size_t index)
{
    return index < sizeof commands / sizeof commands[0] ? &commands[index] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; command_at(i) != NULL; i++)
        if (strcmp(command_at(i)->name, name) == 0)
            return command_at(i);
    return NULL;
}

static bool words_contain(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = words; *at != 0;) {
        size_t span = strcspn(at, " ");

        if (span == length && memcmp(at, word, span) == 0)
            return true;
        at += span + strspn(at + span, " ");
    }
    return false;
}

const char *name_nearest(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t      best = SIZE_MAX;

    for (size_t i = 0; i < count; i++) {
        size_t distance = text_distance(name, names[i]);

        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return best <= 1 + strlen(name) / 3 ? nearest : NULL;
}

int usage_fail(const struct command *command, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "kiwidb %s: ", command->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nsee: kiwidb %s --help\n", command->name);
    return EXIT_USAGE;
}

int exit_of_status(enum kiwi_status status)
{
    switch (status) {
    case KIWI_OK:
        return EXIT_DONE;
    case KIWI_NOT_FOUND:
        return EXIT_NO;
    case KIWI_INVALID:
    case KIWI_TOO_LARGE:
        return EXIT_USAGE;
    case KIWI_CORRUPT:
        return EXIT_CORRUPT;
    case KIWI_LOCKED:
    case KIWI_BUSY:
        return EXIT_LOCKED;
    default:
        return EXIT_ENVIRONMENT;
    }
}

int status_fail(const struct command *command, const char *what, enum kiwi_status status)
{
    /* What was given may be a key of any length. */
    fprintf(stderr, "kiwidb %s: %.*s%s: %s: %s\n", command->name, WHAT_BYTES_SHOWN, what,
            strlen(what) > WHAT_BYTES_SHOWN ? "..." : "", kiwi_status_text(status),
            kiwi_error_text());
    return exit_of_status(status);
}

static void command_print_help(const struct command *command)
{
    printf("kiwidb %s: %s\n\n%s\nusage: kiwidb %s %s\n\n", command->name, command->summary,
           command->examples, command->name, command->usage);
    for (size_t i = 0; i < OPTION_RULE_COUNT; i++) {
        const struct option_rule *rule = &option_rules[i];
        char                      left[40], letter[8] = "    ";

        if (!words_contain(command->options, rule->name))
            continue;
        if (rule->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", rule->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, rule->name,
                 rule->argument != NULL ? " " : "", rule->argument != NULL ? rule->argument : "");
        printf("  %-22s %s\n", left, rule->help);
    }
}

int command_help(const struct command *command, const struct arguments *arguments)
{
    if (arguments->positional_count == 1) {
        const char           *name = arguments->positional[0];
        const struct command *wanted = command_find(name);

        if (wanted == NULL)
            return usage_fail(command, "unknown command '%.60s'", name);
        if (wanted->run_alone != NULL) {
            char *argv[] = { (char *)(uintptr_t)wanted->name, (char *)(uintptr_t)"--help", NULL };
            return wanted->run_alone(2, argv);
        }
        command_print_help(wanted);
        return EXIT_DONE;
    }
    fputs("kiwidb: an embeddable LSM key-value engine and its tools\n\n"
          "  kiwidb put --create greeting hello\n"
          "  kiwidb get greeting\n"
          "  kiwidb bench --preset quick\n\n"
          "usage: kiwidb COMMAND [options]\n\n",
          stdout);
    for (size_t i = 0; command_at(i) != NULL; i++)
        printf("  %-9s %s\n", command_at(i)->name, command_at(i)->summary);
    fputs("\n`kiwidb COMMAND --help` tells more. The database is --dir, else $KIWI_DIR, else\n"
          "./kiwi-data. Keys of its config.json (kiwidb config list) also come from --set\n"
          "and variables as $KIWI_MAX_LEVELS. Exit: 0 done, 1 no, 2 usage, 3 environment or\n"
          "I/O, 4 corruption, 5 locked or busy, 130 INT, 143 TERM.\n",
          stdout);
    return EXIT_DONE;
}

static bool form_parse(const char *text, bool is_output, enum text_form *form)
{
    static const char *const names[] = { "text", "escaped", "hex", "base64", "raw" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], text) == 0 && (is_output || i < 4)) {
            *form = (enum text_form)(FORM_TEXT + i);
            return true;
        }
    return false;
}

/* False: the value makes no sense; a line was printed. */
static bool option_store(const struct command *command, struct arguments *arguments, int option,
                         const char *text)
{
    switch (option) {
    case OPTION_DIR: arguments->directory = text; return true;
    case OPTION_JSON: arguments->is_json = true; return true;
    case OPTION_MEMORY: arguments->memory = text; return true;
    case OPTION_DURABILITY: arguments->durability = text; return true;
    case OPTION_CREATE: arguments->is_create = true; return true;
    case OPTION_FROM: arguments->from = text; return true;
    case OPTION_TO: arguments->to = text; return true;
    case OPTION_LIMIT: arguments->limit = text; return true;
    case OPTION_REVERSE: arguments->is_reverse = true; return true;
    case OPTION_KEYS_ONLY: arguments->keys_only = true; return true;
    case OPTION_COUNT: arguments->is_count = true; return true;
    case OPTION_IO_BACKEND: arguments->io_backend = text; return true;
    case OPTION_INTO: arguments->into = text; return true;
    case OPTION_EXPLAIN: arguments->is_explain = true; return true;
    case OPTION_DRY_RUN: arguments->is_dry_run = true; return true;
    case OPTION_QUIET: arguments->is_quiet = true; return true;
    case OPTION_HELP: arguments->is_help = true; return true;
    case OPTION_SET:
        if (arguments->setting_count < SETTING_COUNT_MAX) {
            arguments->settings[arguments->setting_count++] = text;
            return true;
        }
        usage_fail(command, "more than %d times --set", SETTING_COUNT_MAX);
        return false;
    case OPTION_IN:
    case OPTION_OUT:
        if (form_parse(text, option == OPTION_OUT,
                       option == OPTION_IN ? &arguments->in : &arguments->out))
            return true;
        usage_fail(command, "--%s '%.40s' is none of text, escaped, hex, base64%s",
                   option_rules[option].name, text, option == OPTION_OUT ? ", raw" : "");
        return false;
    default: return false;
    }
}

static int option_unknown(const struct command *command, const char *given)
{
    const char *names[OPTION_RULE_COUNT], *nearest;
    size_t      count = 0;
    char        word[64];

    given += strspn(given, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    for (size_t i = 0; i < OPTION_RULE_COUNT; i++)
        if (words_contain(command->options, option_rules[i].name))
            names[count++] = option_rules[i].name;
    nearest = name_nearest(word, names, count);
    if (nearest != NULL)
        return usage_fail(command, "unknown option '%.60s'; did you mean '--%s'?", word, nearest);
    return usage_fail(command, "unknown option '%.60s'", word);
}

/* The getopt tables of one command. */
struct getopt_tables {
    struct option longs[OPTION_RULE_COUNT + 1];
    char          shorts[2 * OPTION_RULE_COUNT + 2];
};

static void getopt_tables_fill(const struct command *command, struct getopt_tables *tables)
{
    size_t count = 0, at = 0;

    memset(tables, 0, sizeof *tables);
    tables->shorts[at++] = ':';
    for (int i = 0; i < OPTION_RULE_COUNT; i++) {
        const struct option_rule *rule = &option_rules[i];

        if (!words_contain(command->options, rule->name))
            continue;
        tables->longs[count++] =
            (struct option){ rule->name, rule->argument != NULL, NULL, 256 + i };
        if (rule->letter != 0) {
            tables->shorts[at++] = (char)rule->letter;
            if (rule->argument != NULL)
                tables->shorts[at++] = ':';
        }
    }
}

static int option_of_letter(int id)
{
    if (id >= 256)
        return id - 256;
    for (int i = 0; i < OPTION_RULE_COUNT; i++)
        if (option_rules[i].letter == id)
            return i;
    return -1;
}

int command_run(const struct command *command, int argc, char **argv)
{
    struct arguments     arguments = { 0 };
    struct getopt_tables tables;
    int                  id;

    if (command->run_alone != NULL)
        return command->run_alone(argc, argv);
    getopt_tables_fill(command, &tables);
    optind = 0;
    opterr = 0;
    while ((id = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
        if (id == '?')
            return option_unknown(command, argv[optind - 1]);
        if (id == ':')
            return usage_fail(command, "option '%.60s' needs an argument", argv[optind - 1]);
        if (!option_store(command, &arguments, option_of_letter(id), optarg))
            return EXIT_USAGE;
    }
    if (arguments.is_help) {
        command_print_help(command);
        return EXIT_DONE;
    }
    for (; optind < argc; optind++) {
        if (arguments.positional_count == command->positional_max)
            return usage_fail(command, "one argument too many: '%.60s'", argv[optind]);
        arguments.positional[arguments.positional_count++] = argv[optind];
    }
    if (arguments.positional_count < command->positional_min)
        return usage_fail(command, "an argument is missing: %s", command->usage);
    return command->run(command, &arguments);
}
