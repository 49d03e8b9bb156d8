/*
 * io_thread.c: threads, parking, mailboxes, the token, and the clock across threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/clock.h"
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
