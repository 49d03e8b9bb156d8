/*
 * pace.h: who fell behind in an open loop, the driver or the engine, as a pure function.
 *
 * From the moment an operation is due until it is handed over, its client thread is either with the
 * engine (inside a call, or all its places taken) or with the driver (making operations, checking
 * values, waking late). The larger of the two sums is to blame for what was not kept; unless most
 * of both was lost because the thread could have run and had no processor, as the kernel counts it
 * (/proc/thread-self/schedstat): other threads had it, those of the engine included.
 */
#pragma once

#include "core/base/base.h"

enum pace_verdict { PACE_KEPT = 0, PACE_DRIVER, PACE_ENGINE, PACE_PROCESSOR };

struct pace {
    double   asked, achieved;     /* operations a second */
    double   seconds;
    bool     is_poisson;          /* then the number of arrivals is itself random */
    uint64_t lag_ns, service_ns;  /* p99 of each clock */
    uint64_t driver_ns, engine_ns; /* what the threads did while an operation was due */
    uint64_t processor_ns;         /* of both, waiting for a processor; about, never too little */
};

/* Fewer operations were done than were due. */
bool pace_is_behind(const struct pace *pace);
/*
 * PACE_KEPT: the rate was kept, and most operations were handed over when they were due. Else who
 * made them late; the rate may still have been kept.
 */
enum pace_verdict pace_judge(const struct pace *pace);
/* Of the time that operations waited to be handed over, the driver's part, and what the threads had
 * no processor for: 0 to 1. */
double      pace_driver_share(const struct pace *pace);
double      pace_processor_share(const struct pace *pace);
const char *pace_verdict_name(enum pace_verdict verdict);
