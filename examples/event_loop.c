/*
 * event_loop.c: the completion form inside the host's own epoll loop, beside a timer of the host's.
 *
 * 1,000 durable puts with up to 64 outstanding; each completes twice: visible, then durable.
 *
 *   cc event_loop.c $(pkg-config --cflags --libs kiwi) -o event_loop && ./event_loop
 *   /tmp/example-db
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <kiwi/kiwi.h>

#define PUT_COUNT 1000
#define DEPTH     64

struct put {
    struct kiwi_op op;
    char           key[16];
    char           value[32];
};

struct host {
    struct kiwi_context *context;
    struct put           puts[DEPTH];
    int                  started, visible, durable, ticks;
};

static void fail(const char *what, enum kiwi_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, kiwi_status_text(status), kiwi_error_text());
    exit(1);
}

static void put_start(struct host *host, struct put *put)
{
    struct kiwi_op  *op = &put->op;
    enum kiwi_status status;

    if (host->started == PUT_COUNT)
        return;
    snprintf(put->key, sizeof put->key, "key%06d", host->started);
    snprintf(put->value, sizeof put->value, "value of %06d", host->started);
    memset(op, 0, sizeof *op);
    op->verb = KIWI_PUT;
    op->durability = KIWI_DURABLE;
    op->flags = KIWI_FLAG_VISIBLE_TOO;
    op->key = (struct kiwi_slice){ put->key, strlen(put->key) };
    op->value = (struct kiwi_slice){ put->value, strlen(put->value) };
    op->user = put;
    host->started++;
    if ((status = kiwi_submit(host->context, &op, 1)) != KIWI_OK)
        fail("submit", status);
}

static void completions_take(struct host *host)
{
    struct kiwi_op *done[DEPTH];
    size_t          count;

    while ((count = kiwi_poll(host->context, done, DEPTH, 0)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (done[i]->status != KIWI_OK)
                fail("put", done[i]->status);
            if (done[i]->is_visible_only) {
                host->visible++;
                continue;
            }
            host->durable++;
            put_start(host, done[i]->user);
        }
    }
}

static void descriptor_add(int epoll, int descriptor)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = descriptor };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

static void loop_run(struct host *host)
{
    struct itimerspec every = { .it_interval.tv_nsec = 10000000, .it_value.tv_nsec = 10000000 };
    int               kiwi = kiwi_context_descriptor(host->context);
    int               timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int               epoll = epoll_create1(EPOLL_CLOEXEC);

    if (timer < 0 || epoll < 0 || timerfd_settime(timer, 0, &every, NULL) != 0) {
        perror("timer");
        exit(1);
    }
    descriptor_add(epoll, timer);
    descriptor_add(epoll, kiwi);
    for (int i = 0; i < DEPTH; i++)
        put_start(host, &host->puts[i]);
    while (host->durable < PUT_COUNT) {
        struct epoll_event events[2];
        int                count = epoll_wait(epoll, events, 2, -1);

        for (int i = 0; i < count; i++) {
            uint64_t word;
            if (read(events[i].data.fd, &word, sizeof word) == (ssize_t)sizeof word
                && events[i].data.fd == timer)
                host->ticks++;
        }
        completions_take(host);
    }
    close(timer);
    close(epoll);
}

int main(int argc, char **argv)
{
    static struct host  host;
    struct kiwi_options options = kiwi_options_default();
    struct kiwi_db     *db;
    enum kiwi_status    status;

    options.memory_bytes = 64u << 20;
    status = kiwi_open(argc > 1 ? argv[1] : "example-db", &options, &db);
    if (status != KIWI_OK)
        fail("open", status);
    if ((status = kiwi_context_open(db, 2 * DEPTH, &host.context)) != KIWI_OK)
        fail("context", status);
    loop_run(&host);
    printf("%d puts became visible, %d durable\n", host.visible, host.durable);
    kiwi_context_close(host.context);
    if ((status = kiwi_close(db)) != KIWI_OK)
        fail("close", status);
    return host.visible == PUT_COUNT ? 0 : 1;
}
