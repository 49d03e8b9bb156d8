/*
 * main.c: `kiwidb`: the command word and the exit code.
 */
#include <string.h>
#include <sys/resource.h>

#include "app/command.h"

static int command_unknown(const char *word)
{
    const char *names[32], *nearest;
    size_t      count = 0;

    for (; command_at(count) != NULL && count < 32; count++)
        names[count] = command_at(count)->name;
    nearest = name_nearest(word, names, count);
    fprintf(stderr, "kiwidb: unknown command '%.60s'", word);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs("\nsee: kiwidb --help\n", stderr);
    return EXIT_USAGE;
}

/* Every table keeps a file open, and a login's usual limit is 1,024; the hard limit is the host's
 * own word on what a program may have. */
static void open_files_allow(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    const struct command *command;
    int                   code;

    signals_set();
    open_files_allow();
    if (argc < 2) {
        fputs("kiwidb: which command?\nsee: kiwidb --help\n", stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        command = command_find("help");
    else if (strcmp(argv[1], "--version") == 0)
        command = command_find("version");
    else
        command = command_find(argv[1]);
    if (command == NULL)
        return command_unknown(argv[1]);
    code = command_run(command, argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "kiwidb %s: cannot write to standard output\n", command->name);
        if (code == EXIT_DONE)
            code = EXIT_ENVIRONMENT;
    }
    return code;
}
