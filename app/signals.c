/*
 * signals.c: the first SIGINT or SIGTERM asks for an end, the second one ends. A file beyond the
 * process's limit is an error to be told, as on a full disk, and no signal.
 */
#include <signal.h>
#include <unistd.h>

#include "app/command.h"

static volatile sig_atomic_t signal_number;

int signal_seen(void)
{
    return signal_number;
}

static void signal_note(int number)
{
    if (signal_number != 0)
        _exit(128 + number);
    signal_number = number;
}

void signals_set(void)
{
    struct sigaction action = { .sa_handler = signal_note };

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
}
