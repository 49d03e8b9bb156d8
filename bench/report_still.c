/*
 * report_still.c: what a thread that only slept says about the machine.
 */
#include <inttypes.h>

#include "bench/report.h"

json_t *stillness_json(const struct stillness *stillness)
{
    json_t *events = json_array();

    for (uint32_t i = 0; i < stillness->kept_count; i++) {
        const struct standstill *at = &stillness->standstills[i];

        json_array_append_new(events, json_pack("[f,I]", (double)at->start_ns / 1e9,
                                                (json_int_t)(at->end_ns - at->start_ns)));
    }
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "is_real_time",
                     stillness->is_real_time, "limit_ns", (json_int_t)STILLNESS_LIMIT_NS, "count",
                     (json_int_t)stillness->standstill_count, "longest_ns",
                     (json_int_t)stillness->longest_ns, "total_ns",
                     (json_int_t)stillness->total_ns, "wakes",
                     (json_int_t)stillness->lateness.count, "wakes_late_1ms",
                     (json_int_t)stillness->late_1ms, "late_p99_ns",
                     (json_int_t)kiwi_latency_percentile(&stillness->lateness, 0.99),
                     "late_p99_9_ns",
                     (json_int_t)kiwi_latency_percentile(&stillness->lateness, 0.999),
                     "late_max_ns", (json_int_t)stillness->lateness.max_ns, "cpu_seconds",
                     (double)stillness->cpu_ns / 1e9, "events", events);
}

void stillness_line(FILE *stream, const struct stillness *stillness)
{
    char longest[24], total[24], tail[24];

    if (!stillness->was_watched)
        return;
    if (stillness->standstill_count == 0)
        fprintf(stream,
                "the host stood still: never > 10 ms (a sleeping thread woke at most %s late)",
                duration_text(stillness->lateness.max_ns, longest, sizeof longest));
    else
        fprintf(stream,
                "the host stood still: %" PRIu64 " times > 10 ms, longest %s, %s in all; p99.9 of "
                "wakes %s late",
                stillness->standstill_count,
                duration_text(stillness->longest_ns, longest, sizeof longest),
                duration_text(stillness->total_ns, total, sizeof total),
                duration_text(kiwi_latency_percentile(&stillness->lateness, 0.999), tail,
                              sizeof tail));
    fputs(stillness->is_real_time ? "\n" : " (or was busy: no real-time priority)\n", stream);
}
