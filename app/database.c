/*
 * database.c: options of a command line and of config.json become options of the engine.
 */
#include "app/database.h"

#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/text.h"

#define MEMORY_BYTES_DEFAULT (64ull << 20)

const char *database_directory(const struct arguments *arguments)
{
    const char *variable = getenv("KIWI_DIR");

    if (arguments->directory != NULL)
        return arguments->directory;
    return variable != NULL && variable[0] != 0 ? variable : "kiwi-data";
}

bool durability_of(const struct command *command, const struct arguments *arguments,
                   enum kiwi_durability *durability)
{
    const char *word = arguments->durability;

    *durability = KIWI_DURABLE;
    if (word == NULL || strcmp(word, "durable") == 0)
        return true;
    *durability = strcmp(word, "process") == 0 ? KIWI_PROCESS : KIWI_MEMORY;
    if (*durability == KIWI_PROCESS || strcmp(word, "memory") == 0)
        return true;
    usage_fail(command, "durability '%.40s' is none of durable, process, memory", word);
    return false;
}

int io_backend_of(const struct command *command, const struct arguments *arguments,
                  enum kiwi_io_backend *backend)
{
    const char *name = arguments->io_backend;

    *backend = name != NULL && strcmp(name, "posix") == 0 ? KIWI_IO_POSIX : KIWI_IO_URING;
    if (name == NULL || *backend == KIWI_IO_POSIX || strcmp(name, "uring") == 0)
        return EXIT_DONE;
    return usage_fail(command, "io backend '%.40s' is neither uring nor posix", name);
}

/* Notes are for programs that keep a log; a command's own output says what it did. */
static void warning_print(void *context, enum kiwi_log_level level, const char *text)
{
    const struct command *command = context;

    if (level >= KIWI_LOG_WARNING)
        fprintf(stderr, "kiwidb %s: %s: %s\n", command->name,
                level == KIWI_LOG_ERROR ? "error" : "warning", text);
}

static int options_fill(const struct command *command, const struct arguments *arguments,
                        struct kiwi_options *options)
{
    *options = kiwi_options_default();
    options->memory_bytes = MEMORY_BYTES_DEFAULT;
    options->create = arguments->is_create;
    options->log = warning_print;
    options->log_context = (void *)(uintptr_t)command;
    if (arguments->memory != NULL && !text_size(arguments->memory, &options->memory_bytes))
        return usage_fail(command, "'%.40s' is no size; write 64MiB or 1GB", arguments->memory);
    return io_backend_of(command, arguments, &options->io_backend);
}

int session_open(const struct command *command, const struct arguments *arguments,
                 struct session *session)
{
    const char         *directory = database_directory(arguments);
    struct kiwi_options options;
    enum kiwi_status    status;
    int                 code = options_fill(command, arguments, &options);

    session->db = NULL;
    session->context = NULL;
    if (code != EXIT_DONE)
        return code;
    code = config_apply(command, arguments, directory, &options);
    if (code != EXIT_DONE)
        return code;
    status = kiwi_open(directory, &options, &session->db);
    if (status == KIWI_NOT_FOUND) {
        fprintf(stderr, "kiwidb %s: %s: no database here; --dir DIR names another%s\n",
                command->name, directory,
                strstr(command->options, "create") != NULL ? ", --create makes one" : "");
        return EXIT_ENVIRONMENT;
    }
    if (status != KIWI_OK) {
        code = status_fail(command, directory, status);
        return code == EXIT_NO ? EXIT_ENVIRONMENT : code;
    }
    status = kiwi_context_open(session->db, 16, &session->context);
    if (status != KIWI_OK) {
        code = status_fail(command, directory, status);
        return session_close(command, session, code);
    }
    return EXIT_DONE;
}

int session_close(const struct command *command, struct session *session, int code)
{
    enum kiwi_status status;

    kiwi_context_close(session->context);
    status = kiwi_close(session->db);
    session->db = NULL;
    session->context = NULL;
    if (status != KIWI_OK && code == EXIT_DONE)
        code = status_fail(command, "closing", status);
    return code;
}
