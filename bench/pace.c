/*
 * pace.c: the judgement, without any measuring.
 */
#include "bench/pace.h"

#include <math.h>

#define RATE_SHARE     0.98     /* of what was asked is as good as all of it */
#define LAG_LEAST_NS   10000u   /* below this no clock of a shared machine means anything */

bool pace_is_behind(const struct pace *pace)
{
    double due = pace->asked * pace->seconds;

    if (pace->asked <= 0)
        return false;
    /* Three standard deviations of a Poisson count: 30 of 100 arrivals, 3 % of 10,000. */
    return pace->achieved * pace->seconds
         < RATE_SHARE * due - (pace->is_poisson ? 3 * sqrt(due) : 0);
}

double pace_driver_share(const struct pace *pace)
{
    double whole = (double)pace->driver_ns + (double)pace->engine_ns;

    return whole > 0 ? (double)pace->driver_ns / whole : 0;
}

double pace_processor_share(const struct pace *pace)
{
    double whole = (double)pace->driver_ns + (double)pace->engine_ns;

    return whole > 0 ? fmin((double)pace->processor_ns / whole, 1) : 0;
}

enum pace_verdict pace_judge(const struct pace *pace)
{
    bool is_late = pace->lag_ns > LAG_LEAST_NS && pace->lag_ns > pace->service_ns;

    if (pace->asked <= 0 || (!is_late && !pace_is_behind(pace)))
        return PACE_KEPT;
    if (pace_processor_share(pace) > 0.5)
        return PACE_PROCESSOR;
    return pace_driver_share(pace) > 0.5 ? PACE_DRIVER : PACE_ENGINE;
}

const char *pace_verdict_name(enum pace_verdict verdict)
{
    static const char *const names[] = { [PACE_KEPT] = "none", [PACE_DRIVER] = "driver",
                                         [PACE_ENGINE] = "engine",
                                         [PACE_PROCESSOR] = "processor" };

    assert((unsigned)verdict < ARRAY_COUNT(names));
    return names[verdict];
}
