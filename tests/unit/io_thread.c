/*
 * io_thread.c: threads, parking, mailboxes, the token, and clock and queues across threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/io.h"
#include "io/mailbox.h"
#include "io/thread.h"

enum { MESSAGES = 20000, SENDERS = 3 };

static _Atomic uint32_t word;

static void set_word(void *context)
{
    (void)context;
    atomic_store(&word, 1);
    unpark(&word, 1);
}

static void a_parked_thread_is_woken(void **state)
{
    struct thread *thread;

    (void)state;
    atomic_store(&word, 0);
    assert_int_equal(thread_start(set_word, NULL, -1, "setter", &thread), KIWI_OK);
    while (atomic_load(&word) == 0)
        park(&word, 0, UINT64_MAX);
    thread_join(thread);
}

static void parking_ends_with_its_time(void **state)
{
    (void)state;
    atomic_store(&word, 7);
    park(&word, 7, 1000);
    park(&word, 8, UINT64_MAX); /* the word is not what was expected: no sleep */
}

static void a_thread_may_be_pinned_or_fail_to_be(void **state)
{
    struct thread *thread;

    (void)state;
    assert_int_equal(thread_start(set_word, NULL, 0, "a name that is far too long", &thread),
                     KIWI_OK);
    thread_join(thread);
    assert_int_equal(thread_start(set_word, NULL, 1023, "nowhere", &thread), KIWI_OK);
    thread_join(thread);
    thread_join(NULL);
}

static void the_process_has_numbers(void **state)
{
    uint64_t before = thread_cpu_ns();

    (void)state;
    assert_true(thread_cpu_count() >= 1);
    assert_true(thread_process_id() > 1);
    while (thread_cpu_ns() == before)
        spin_pause();
}

struct letter {
    struct mail mail;
    uint32_t    sender, number;
};

static struct letter  letters[SENDERS][MESSAGES];
static struct mailbox box;

static void send_letters(void *context)
{
    struct letter *mine = context;

    for (uint32_t i = 0; i < MESSAGES; i++)
        mailbox_push(&box, &mine[i].mail);
}

static void mail_of_one_sender_arrives_in_order(void **state)
{
    struct thread *threads[SENDERS];
    uint32_t       next[SENDERS] = { 0 }, received = 0;

    (void)state;
    for (uint32_t s = 0; s < SENDERS; s++) {
        for (uint32_t i = 0; i < MESSAGES; i++)
            letters[s][i] = (struct letter){ .sender = s, .number = i };
        assert_int_equal(thread_start(send_letters, letters[s], -1, "sender", &threads[s]),
                         KIWI_OK);
    }
    while (received < SENDERS * MESSAGES) {
        for (struct mail *mail = mailbox_take(&box); mail != NULL; received++) {
            struct letter *letter = container_of(mail, struct letter, mail);
            mail = mail->next;
            assert_int_equal(letter->number, next[letter->sender]++);
        }
    }
    for (uint32_t s = 0; s < SENDERS; s++)
        thread_join(threads[s]);
    assert_true(mailbox_is_empty(&box));
}

static struct token token;
static uint64_t     guarded;

static void count_inside(void *context)
{
    (void)context;
    for (uint32_t i = 0; i < 100000; i++) {
        while (!token_try(&token))
            spin_pause();
        guarded++;
        token_leave(&token);
    }
}

static void the_token_lets_one_in(void **state)
{
    struct thread *a, *b;

    (void)state;
    assert_int_equal(thread_start(count_inside, NULL, -1, "a", &a), KIWI_OK);
    assert_int_equal(thread_start(count_inside, NULL, -1, "b", &b), KIWI_OK);
    thread_join(a);
    thread_join(b);
    assert_int_equal(guarded, 200000);
    assert_true(token_try(&token));
    assert_false(token_try(&token));
    token_leave(&token);
}

static _Atomic uint64_t latest_ns;
static _Atomic uint32_t went_back;

static void watch_clock(void *context)
{
    (void)context;
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t seen = atomic_load(&latest_ns), now;

#ifdef __x86_64__
        /* The counter may be read before the load has its value from the other processor, which on
         * a busy machine took more than the microsecond allowed below. */
        __builtin_ia32_lfence();
#endif
        now = clock_now_ns();
        if (now + 1000 < seen) /* a processor may look ahead by some tens of nanoseconds */
            atomic_fetch_add(&went_back, 1);
        atomic_store(&latest_ns, now);
    }
}

static void time_never_goes_back_between_threads(void **state)
{
    struct thread *a, *b;

    (void)state;
    clock_open();
    assert_int_equal(thread_start(watch_clock, NULL, -1, "a", &a), KIWI_OK);
    assert_int_equal(thread_start(watch_clock, NULL, -1, "b", &b), KIWI_OK);
    thread_join(a);
    thread_join(b);
    assert_int_equal(atomic_load(&went_back), 0);
}

/* Threads that take turns, and tell each other nothing but whose turn it is. */
struct turns {
    _Atomic uint32_t turn;  /* relaxed: it orders nothing */
    _Atomic uint32_t names;
    struct io       *io;
    struct io_file  *file;
};

#define TURNS        20u
#define TURN_THREADS 2u

static void turn_done(struct io_request *request)
{
    assert_int_equal(request->status, KIWI_OK);
}

static void queues_in_turn(void *context)
{
    struct turns     *turns = context;
    const uint32_t    mine = atomic_fetch_add_explicit(&turns->names, 1, memory_order_relaxed);
    struct io_queue  *queues[TURNS];
    struct io_request request;

    for (uint32_t turn = mine; turn < TURNS; turn += TURN_THREADS)
        assert_int_equal(io_queue_open(turns->io, 4, &queues[turn]), KIWI_OK);
    for (uint32_t turn = mine; turn < TURNS; turn += TURN_THREADS) {
        while (atomic_load_explicit(&turns->turn, memory_order_relaxed) != turn)
            thread_yield();
        request = (struct io_request){ .verb = IO_SYNC, .file = turns->file, .done = turn_done };
        io_queue_add(queues[turn], &request); /* the first makes the ring */
        io_queue_close(queues[turn]);
        atomic_store_explicit(&turns->turn, turn + 1, memory_order_relaxed);
    }
}

/* Goal: a queue may get the memory of one that another thread has closed, which is no race.
 * Method: all are open before the first turn; the memory of a ring comes with its first request. */
static void threads_close_and_open_queues_in_turn(void **state)
{
    struct turns   turns = { 0 };
    struct thread *threads[TURN_THREADS];
    char           path[] = "io_thread_XXXXXX";
    int            descriptor = mkstemp(path);

    (void)state;
    assert_true(descriptor >= 0);
    close(descriptor);
    if (io_open(IO_BACKEND_URING, &turns.io) != KIWI_OK)
        assert_int_equal(io_open(IO_BACKEND_POSIX, &turns.io), KIWI_OK);
    assert_int_equal(io_file_open(turns.io, path, 0, &turns.file), KIWI_OK);
    for (uint32_t i = 0; i < TURN_THREADS; i++)
        assert_int_equal(thread_start(queues_in_turn, &turns, -1, "turns", &threads[i]), KIWI_OK);
    for (uint32_t i = 0; i < TURN_THREADS; i++)
        thread_join(threads[i]);
    assert_int_equal(turns.turn, TURNS);
    io_file_close(turns.file);
    io_close(turns.io);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parked_thread_is_woken),
        cmocka_unit_test(parking_ends_with_its_time),
        cmocka_unit_test(a_thread_may_be_pinned_or_fail_to_be),
        cmocka_unit_test(the_process_has_numbers),
        cmocka_unit_test(mail_of_one_sender_arrives_in_order),
        cmocka_unit_test(the_token_lets_one_in),
        cmocka_unit_test(time_never_goes_back_between_threads),
        cmocka_unit_test(threads_close_and_open_queues_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
