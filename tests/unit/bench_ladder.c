/*
 * The ladder finds the highest rate that meets an objective: on curves that are known, by the
 * thousand, with and without noise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "bench/ladder.h"

static uint64_t random_state;

static void random_start(void)
{
    const char *seed = getenv("KIWI_TEST_SEED");

    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 20261128;
    print_message("KIWI_TEST_SEED=%llu\n", (unsigned long long)random_state);
}

static double random_share(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static double random_between(double low, double high)
{
    return low * pow(high / low, random_share());
}

/* Box and Muller. */
static double random_normal(void)
{
    return sqrt(-2 * log(random_share() + 1e-300)) * cos(6.283185307179586 * random_share());
}

/* A server with one queue: response is service / (1 - rate / capacity); noise is what a busy
 * machine adds. */
struct server {
    double capacity, service_ns, limit_ns;
    double deviation;        /* of the logarithm of what is measured */
    double outlier_share;    /* of steps that a bad moment makes up to twenty times as long */
    bool   drops;            /* what is too much for it, instead of letting it wait */
};

static struct server server_at_random(void)
{
    struct server server = { .capacity = random_between(1000, 2e7),
                             .service_ns = random_between(200, 1e7) };

    server.limit_ns = server.service_ns * random_between(1.1, 50);
    return server;
}

/* The highest rate that meets the limit. */
static double server_truth(const struct server *server)
{
    return server->capacity * (1 - server->service_ns / server->limit_ns);
}

static double server_response(const struct server *server, double rate)
{
    double factor = exp(server->deviation * random_normal());

    if (random_share() < server->outlier_share)
        factor *= random_between(2, 20);
    if (rate >= server->capacity)
        return server->limit_ns * (server->drops ? 0.5 : 100);
    return server->service_ns / (1 - rate / server->capacity) * factor;
}

static struct ladder_try server_try(const struct server *server, double rate)
{
    double response = server_response(server, rate);

    return (struct ladder_try){ rate, response <= server->limit_ns,
                                rate * 0.8 > server->capacity };
}

struct search {
    struct ladder_try tries[LADDER_STEP_MAX];
    uint32_t          count;
    double            met, missed;
};

static struct search search_run(const struct server *server, double ceiling)
{
    struct search      search = { .count = 0 };
    struct ladder_next next;

    for (;;) {
        uint32_t before = 0;

        next = ladder_next(ceiling, search.tries, search.count);
        if (next.is_over)
            break;
        assert_true(search.count < LADDER_STEP_MAX);
        assert_true(next.rate >= 1 && next.rate <= 1e12);
        for (uint32_t i = 0; i < search.count; i++)
            before += fabs(search.tries[i].rate - next.rate) < 0.5;
        assert_int_equal(next.attempt, before + 1);
        assert_true(next.attempt <= 3);
        search.tries[search.count++] = server_try(server, next.rate);
    }
    ladder_bounds(search.tries, search.count, &search.met, &search.missed);
    return search;
}

static void a_quiet_curve_is_searched_to_five_percent(void **state)
{
    uint32_t most = 0;
    uint64_t sum = 0;

    (void)state;
    random_start();
    for (int i = 0; i < 5000; i++) {
        struct server server = server_at_random();
        double        truth = server_truth(&server);
        /* A closed loop of one thread has a lower ceiling than an open loop, or a bad moment. */
        struct search search = search_run(&server, server.capacity * random_between(0.5, 1.2));

        if (!(search.met <= truth && search.missed > truth && search.missed / search.met < 1.062))
            fail_msg("round %d: capacity %.0f, truth %.0f, met %.0f, missed %.0f", i,
                     server.capacity, truth, search.met, search.missed);
        most = search.count > most ? search.count : most;
        sum += search.count;
    }
    print_message("at most %u steps, %.1f on average\n", most, (double)sum / 5000);
    assert_true(most < LADDER_STEP_MAX);
}

static void noise_moves_the_answer_by_little(void **state)
{
    uint32_t near = 0, far = 0;

    (void)state;
    random_start();
    for (int i = 0; i < 5000; i++) {
        struct server server = server_at_random();
        struct search search;
        double        share;

        server.deviation = 0.05;
        server.outlier_share = 0.05;
        search = search_run(&server, server.capacity * random_between(0.7, 1.1));
        /* What noise of three deviations can make of the truth. */
        share = search.met / server_truth(&server);
        near += share > 0.8 && share < 1.1;
        far += share < 0.5 || share > 1.5;
    }
    print_message("of 5000: %u within -20 %% to +10 %%, %u off by half\n", near, far);
    assert_in_range(near, 4600, 5000);
    assert_in_range(far, 0, 100);
}

static void what_no_rate_meets_is_given_up(void **state)
{
    (void)state;
    random_start();
    for (int i = 0; i < 2000; i++) {
        struct server server = server_at_random();
        struct search search;

        server.limit_ns = server.service_ns * random_between(0.01, 0.99);
        search = search_run(&server, server.capacity);
        assert_true(search.met <= 0 && search.missed > 0);
        assert_true(search.missed <= fmax(server.capacity / 900, 5));
        assert_true(search.count < LADDER_STEP_MAX);
    }
}

/* Whatever the results are, the search ends, and its bounds are what was tried. */
static void any_results_at_all_end_the_search(void **state)
{
    (void)state;
    random_start();
    for (int i = 0; i < 5000; i++) {
        struct ladder_try tries[LADDER_STEP_MAX];
        double            ceiling = random_between(0.01, 1e9), met, missed;
        double            chance = random_share();
        uint32_t          count = 0;

        for (;;) {
            struct ladder_next next = ladder_next(ceiling, tries, count);

            if (next.is_over)
                break;
            assert_true(count < LADDER_STEP_MAX && next.rate >= 1);
            tries[count++] = (struct ladder_try){ next.rate, random_share() < chance,
                                                  random_share() < 0.3 };
        }
        ladder_bounds(tries, count, &met, &missed);
        assert_true(met > 0 || missed > 0);
        assert_true(met <= 0 || missed <= 0 || met < missed);
    }
}

static void one_bad_moment_does_not_end_the_climb(void **state)
{
    const struct ladder_try missed_once[] = { { 100, true, false }, { 200, false, false } };
    const struct ladder_try tried_again[] = { { 100, true, false }, { 200, false, false },
                                              { 200, true, false } };
    const struct ladder_try clear[] = { { 100, true, false }, { 200, false, true } };
    struct ladder_next next = ladder_next(1600, missed_once, 2);

    (void)state;
    assert_true(!next.is_over && next.rate == 200 && next.attempt == 2);
    next = ladder_next(1600, tried_again, 3);
    assert_true(!next.is_over && next.rate == 200 && next.attempt == 3);
    next = ladder_next(1600, clear, 2);
    assert_true(!next.is_over && next.rate == 141 && next.attempt == 1);
}

static void a_climb_doubles_to_the_ceiling_and_goes_on_by_quarters(void **state)
{
    static const double rates[] = { 104, 208, 416, 832, 1660, 2080, 2600 };
    struct ladder_try   tries[7];

    (void)state;
    for (uint32_t i = 0; i < 7; i++) {
        struct ladder_next next = ladder_next(1660, tries, i);

        assert_true(!next.is_over && next.rate == rates[i] && next.attempt == 1);
        tries[i] = (struct ladder_try){ next.rate, true, false };
    }
}

static void the_answer_was_met_twice(void **state)
{
    struct ladder_try  tries[5] = { { 100, true, false }, { 104, false, true } };
    struct ladder_next next = ladder_next(1600, tries, 2);

    (void)state;
    assert_true(!next.is_over && next.rate == 100 && next.attempt == 2);
    tries[2] = (struct ladder_try){ 100, true, false };
    assert_true(ladder_next(1600, tries, 3).is_over);
    /* Met, missed, missed: what lies below is looked for. */
    tries[2] = tries[3] = (struct ladder_try){ 100, false, false };
    next = ladder_next(1600, tries, 3);
    assert_true(!next.is_over && next.rate == 100 && next.attempt == 3);
    next = ladder_next(1600, tries, 4);
    assert_true(!next.is_over && next.rate == 25 && next.attempt == 1);
}

static void rates_have_three_digits(void **state)
{
    (void)state;
    assert_true(ladder_round(123456) == 123000);
    assert_true(ladder_round(999.6) == 1000);
    assert_true(ladder_round(12.4) == 12);
    assert_true(ladder_round(0.01) == 1);
}

/* What the climb is run on: a server, and where it is to be cut short or to fail. */
struct climb {
    struct server    server;
    uint32_t         steps, cut_after, seen;
    enum kiwi_status status;
    uint64_t         operations_first;
};

static enum kiwi_status climb_run(void *context, const struct ladder_request *request,
                                  struct ladder_step *step, bool *is_over)
{
    struct climb *climb = context;
    double        rate = request->rate > 0 ? request->rate : climb->server.capacity;
    double        response = server_response(&climb->server, rate);

    climb->steps++;
    if (climb->steps == 1) {
        climb->operations_first = request->operations;
        assert_false(request->is_kept);
    }
    *is_over = climb->steps > climb->cut_after;
    step->asked = request->rate;
    step->achieved = fmin(rate, climb->server.capacity);
    step->seconds = request->seconds_max;
    step->operations = request->operations;
    for (uint32_t i = 0; i < QUANTILE_COUNT; i++) {
        step->service.ns[i] = (uint64_t)climb->server.service_ns;
        step->response.ns[i] = (uint64_t)response;
    }
    step->pace = (struct pace){ .asked = step->asked, .achieved = step->achieved,
                                .seconds = step->seconds, .lag_ns = (uint64_t)response,
                                .engine_ns = 1000 };
    return *is_over ? climb->status : KIWI_OK;
}

static void climb_watch(void *context, const struct ladder *ladder, const struct ladder_step *step)
{
    struct climb *climb = context;

    assert_true(step == &ladder->closed || step == &ladder->steps[ladder->count - 1]);
    climb->seen++;
}

static struct ladder ladder_of(const char *text)
{
    struct ladder ladder = { .step_seconds = 2, .workload = "w" };

    assert_int_equal(objectives_parse(text, &ladder.objectives), KIWI_OK);
    return ladder;
}

static const struct server plain_server = { .capacity = 100000, .service_ns = 100000 };

static void a_climb_measures_the_ceiling_and_finds_the_rate(void **state)
{
    struct ladder ladder = ladder_of("p99=1ms");
    struct climb  climb = { .server = plain_server, .cut_after = 100 };
    char          text[400];
    double        met, missed;

    (void)state;
    climb.server.limit_ns = 1e6;
    assert_int_equal(ladder_climb(&ladder, 1234, climb_run, climb_watch, &climb), KIWI_OK);
    assert_true(ladder.is_complete);
    assert_int_equal(climb.operations_first, 1234);
    assert_int_equal(climb.seen, ladder.count + 1);
    assert_int_equal(climb.steps, ladder.count + 2);
    assert_int_equal(ladder.closed.operations, 200000);
    ladder_bounds(ladder.tries, ladder.count, &met, &missed);
    assert_true(met <= 90000 && met > 85000 && missed > 90000 && missed < 95000);
    ladder_answer(&ladder, text, sizeof text);
    assert_non_null(strstr(text, "ops/s meet p99 <= 1.00 ms; of "));
    assert_non_null(strstr(text, "that of service 100 us: operations wait for the engine"));
}

/* Goal: low latencies of too few operations are no success. */
static void a_rate_that_is_not_done_is_not_met(void **state)
{
    struct ladder ladder = ladder_of("p99=1s");
    struct climb  climb = { .server = plain_server, .cut_after = 100 };
    char          text[400];
    double        met, missed;

    (void)state;
    climb.server.limit_ns = 1e9;
    climb.server.drops = true;
    assert_int_equal(ladder_climb(&ladder, 1, climb_run, climb_watch, &climb), KIWI_OK);
    ladder_bounds(ladder.tries, ladder.count, &met, &missed);
    /* Two of a hundred may be missing. */
    assert_true(met >= 97000 && met <= 102100 && missed > 102000 && missed < 108000);
    ladder_answer(&ladder, text, sizeof text);
    assert_non_null(strstr(text, "100.0k were done: the engine fell behind"));
}

static void a_climb_that_meets_nothing_says_why(void **state)
{
    struct ladder ladder = ladder_of("p50=10us,max=1s");
    struct climb  climb = { .server = plain_server, .cut_after = 100 };
    char          text[400];

    (void)state;
    climb.server.limit_ns = 1e4;
    assert_int_equal(ladder_climb(&ladder, 1, climb_run, climb_watch, &climb), KIWI_OK);
    assert_true(ladder.is_complete);
    ladder_answer(&ladder, text, sizeof text);
    if (strncmp(text, "no rate meets p50 <= 10.0 us, max <= 1.00 s: at ", 48) != 0
        || strstr(text, "p50 is 100 us, that of service alone 100 us") == NULL)
        fail_msg("%s", text);
}

/* Goal: whenever it is cut short, what was found until then is kept and is called that. */
static void a_climb_that_is_cut_short_keeps_its_steps(void **state)
{
    (void)state;
    for (uint32_t after = 0; after < 8; after++) {
        struct ladder ladder = ladder_of("p99=1ms");
        struct climb  climb = { .server = plain_server, .cut_after = after };
        char          text[400];

        climb.server.limit_ns = 1e6;
        assert_int_equal(ladder_climb(&ladder, 1, climb_run, climb_watch, &climb), KIWI_OK);
        assert_false(ladder.is_complete);
        assert_int_equal(ladder.count, after > 2 ? after - 2 : 0);
        ladder_answer(&ladder, text, sizeof text);
        if (after <= 2)
            assert_string_equal(text, "no step was finished");
        else if (after <= 6)
            assert_non_null(strstr(text, "no higher rate was tried to its end"));
        climb = (struct climb){ .server = plain_server, .cut_after = after, .status = KIWI_FULL };
        ladder = ladder_of("p99=1ms");
        climb.server.limit_ns = 1e6;
        assert_int_equal(ladder_climb(&ladder, 1, climb_run, climb_watch, &climb), KIWI_FULL);
    }
}

static void objectives_are_read_and_judged(void **state)
{
    struct objectives          objectives;
    struct quantiles           quantiles = { { 10, 20, 999999, 5000000, 49000000 } };
    struct objective_judgement judgement;

    (void)state;
    assert_int_equal(objectives_parse("max=0.05s,p99=1ms,p50=1.5us", &objectives), KIWI_OK);
    assert_string_equal(objectives.text, "p50 <= 1.50 us, p99 <= 1.00 ms, max <= 50.0 ms");
    assert_int_equal(objectives.limits_ns[QUANTILE_P50], 1500);
    assert_int_equal(objectives.limits_ns[QUANTILE_P99_9], 0);
    assert_int_equal(objectives.limits_ns[QUANTILE_MAX], 50000000);
    judgement = objectives_judge(&objectives, &quantiles);
    assert_true(judgement.are_met);
    assert_int_equal(judgement.missed, QUANTILE_P99);
    quantiles.ns[QUANTILE_P50] = 3000;
    judgement = objectives_judge(&objectives, &quantiles);
    assert_false(judgement.are_met);
    assert_int_equal(judgement.missed, QUANTILE_P50);
    assert_true(judgement.share == 2);
    assert_int_equal(objectives_sample(&objectives), 1000);
    assert_int_equal(objectives_parse("p50=1s,p95=1s,p99=1s,p99.9=1s,max=1s", &objectives),
                     KIWI_OK);
    assert_int_equal(objectives_sample(&objectives), 10000);
}

static void objectives_that_are_none_name_the_nearest(void **state)
{
    static const char *const wrong[][2] = {
        { "", "an empty limit" },
        { "p99=1ms,", "an empty limit" },
        { "p98=1ms", "'p98' is none of p50, p95, p99, p99.9, max; did you mean 'p99'?" },
        { "mx=1ms", "did you mean 'max'?" },
        { "average=1ms", "'average' is none of" },
        { "p99", "did you mean 'p99=1ms'?" },
        { "p99=", "'' is no time; write 500us, 1ms or 2s" },
        { "p99=fast", "'fast' is no time" },
        { "p99=1", "did you mean '1ms'?" },
        { "p99=1msec", "unit 'msec' is none of us, ms, s; did you mean 'ms'?" },
        { "p99=1m", "did you mean 'ms'?" },
        { "p99=1.2.3ms", "is no time" },
        { "p99=-1ms", "is no time" },
        { "p99=0ms", "is outside 1 ns to 3600 s" },
        { "p99=4000s", "is outside" },
        { "p99=1ms,p99=2ms", "p99 has a limit already" },
    };
    struct objectives objectives;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (objectives_parse(wrong[i][0], &objectives) != KIWI_INVALID)
            fail_msg("'%s' was accepted", wrong[i][0]);
        if (strstr(fail_text(), "--slo") == NULL || strstr(fail_text(), wrong[i][1]) == NULL)
            fail_msg("'%s': %s", wrong[i][0], fail_text());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_curve_is_searched_to_five_percent),
        cmocka_unit_test(noise_moves_the_answer_by_little),
        cmocka_unit_test(what_no_rate_meets_is_given_up),
        cmocka_unit_test(any_results_at_all_end_the_search),
        cmocka_unit_test(one_bad_moment_does_not_end_the_climb),
        cmocka_unit_test(a_climb_doubles_to_the_ceiling_and_goes_on_by_quarters),
        cmocka_unit_test(the_answer_was_met_twice),
        cmocka_unit_test(rates_have_three_digits),
        cmocka_unit_test(a_climb_measures_the_ceiling_and_finds_the_rate),
        cmocka_unit_test(a_rate_that_is_not_done_is_not_met),
        cmocka_unit_test(a_climb_that_meets_nothing_says_why),
        cmocka_unit_test(a_climb_that_is_cut_short_keeps_its_steps),
        cmocka_unit_test(objectives_are_read_and_judged),
        cmocka_unit_test(objectives_that_are_none_name_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
