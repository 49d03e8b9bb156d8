/*
 * pace.c: how hard to brake.
 *
 * Three pressures, each 0 up to its soft limit and 1 at its hard one: debt of compaction, memtables
 * that wait for their flush, and the log ring. The greatest one, squared, sets the price of a
 * write. At pressure 1 intake is held to a quarter of what flush and compaction drain (each byte
 * taken in is written a few times), beyond that it falls further but never to nothing.
 */
#include "compact/pick.h"

#include "kiwi/stats.h"

#define DRAIN_DEFAULT_BYTES_PER_SECOND (128.0 * 1024 * 1024) /* before anything was measured */
#define DRAIN_MIN_BYTES_PER_SECOND     (1024.0 * 1024)
#define WRITES_PER_BYTE                4.0  /* intake at pressure 1 is drain / this */
#define PRESSURE_MAX                   4.0
#define DELAY_NS_PER_KIB_MAX           10000000.0
#define MEMTABLE_PRESSURE_FROM         1.0  /* memtable_bytes before everything is full */
#define LOG_PRESSURE_FROM              0.75 /* of the ring */
#define SHARE_MIN                      10.0 /* percent */
#define SHARE_MAX                      80.0

/* 0 at soft, 1 at hard, growing without a kink beyond. */
static double pressure_between(double value, double soft, double hard)
{
    assert(hard > soft);
    if (value <= soft)
        return 0;
    double pressure = (value - soft) / (hard - soft);
    return pressure < PRESSURE_MAX ? pressure : PRESSURE_MAX;
}

static double square(double x)
{
    return x * x;
}

static double full_of(const struct pace_input *input)
{
    return (double)(input->frozen_max > 0 ? input->frozen_max : 1) + 1.0;
}

/* In units of memtable_bytes. */
static double active_fill(const struct pace_input *input)
{
    return input->memtable_bytes == 0
        ? 0.0 : (double)input->active_bytes / (double)input->memtable_bytes;
}

/* When as many are frozen as may be, the active one has only its own memtable_bytes left. */
static double frozen_fill(const struct pace_input *input)
{
    double fill = input->memtable_bytes == 0
        ? 0.0 : (double)input->frozen_bytes / (double)input->memtable_bytes;

    return input->frozen_count >= input->frozen_max && fill < full_of(input) - 1.0
        ? full_of(input) - 1.0 : fill;
}

static double debt_pressure(const struct pace_input *input)
{
    double soft = (double)input->debt_soft_bytes;
    double hard = (double)input->debt_hard_bytes;

    if (soft < 1.0)
        soft = 1.0;
    if (hard < soft * 1.25) /* closer limits would make the delay jump */
        hard = soft * 1.25;
    return pressure_between((double)input->debt_bytes, soft, hard);
}

static double memtable_pressure(const struct pace_input *input)
{
    double full = full_of(input);

    return pressure_between(frozen_fill(input) + active_fill(input),
                            full - MEMTABLE_PRESSURE_FROM, full);
}

static double log_fill(const struct pace_input *input)
{
    return input->log_bytes == 0 ? 0.0 : (double)input->log_used_bytes / (double)input->log_bytes;
}

static uint32_t background_share(const struct pace_input *input)
{
    double soft = input->debt_soft_bytes > 0 ? (double)input->debt_soft_bytes : 1.0;
    double need = (double)input->debt_bytes / soft;
    double active = active_fill(input);
    /* A large active memtable alone is nothing to be done yet. */
    double flush_need = (frozen_fill(input) + (active < 1.0 ? active : 1.0)) / full_of(input);
    double log_need = log_fill(input);

    if (flush_need > need)
        need = flush_need;
    if (log_need > need)
        need = log_need;
    if (need > 1.0)
        need = 1.0;
    return (uint32_t)(SHARE_MIN + (SHARE_MAX - SHARE_MIN) * square(need) + 0.5);
}

void pace(const struct pace_input *input, struct pace_output *output)
{
    double pressure = debt_pressure(input);
    double of_memtables = memtable_pressure(input);
    double of_log = pressure_between(log_fill(input), LOG_PRESSURE_FROM, 1.0);
    double drain = input->drain_bytes_per_second > 0
        ? (double)input->drain_bytes_per_second : DRAIN_DEFAULT_BYTES_PER_SECOND;

    output->reason = KIWI_STALL_DEBT;
    if (of_memtables > pressure) {
        pressure = of_memtables;
        output->reason = KIWI_STALL_MEMTABLE;
    }
    if (of_log > pressure) {
        pressure = of_log;
        output->reason = KIWI_STALL_LOG;
    }
    if (drain < DRAIN_MIN_BYTES_PER_SECOND)
        drain = DRAIN_MIN_BYTES_PER_SECOND;

    double delay_ns = square(pressure) * WRITES_PER_BYTE * 1024.0 * 1e9 / drain;

    if (delay_ns > DELAY_NS_PER_KIB_MAX)
        delay_ns = DELAY_NS_PER_KIB_MAX;
    output->delay_ns_per_kib = (uint64_t)delay_ns;
    output->background_share = background_share(input);
    assert(output->background_share >= 10);
    assert(output->background_share <= 80);
}
