/*
 * database.h: opening a database for one command, as its arguments say.
 */
#pragma once

#include "app/command.h"
#include "kiwi/kiwi.h"

struct session {
    struct kiwi_db      *db;
    struct kiwi_context *context;
};

/* The directory a command means: --dir, else $KIWI_DIR, else ./kiwi-data. */
const char *database_directory(const struct arguments *arguments);

/* Of --io-backend; EXIT_DONE, or the exit code after a message was printed. */
int io_backend_of(const struct command *command, const struct arguments *arguments,
                  enum kiwi_io_backend *backend);

/* EXIT_DONE, or the exit code after a message was printed. */
int session_open(const struct command *command, const struct arguments *arguments,
                 struct session *session);
/* Closes; code when it is not EXIT_DONE, else what closing led to. */
int session_close(const struct command *command, struct session *session, int code);

/* Of --durability; false after a message. */
bool durability_of(const struct command *command, const struct arguments *arguments,
                   enum kiwi_durability *durability);
