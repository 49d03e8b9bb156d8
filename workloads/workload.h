/*
 * workload.h: what a property file asks for, checked and in numbers.
 *
 * YCSB's weights need not add up to one. Beware of its defaults: a file that sets one weight only
 * inherits 0.95 reads and 0.05 updates; the linter lists what is inherited.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"
#include "workloads/catalogue.h"
#include "workloads/choosers.h"
#include "workloads/keys.h"
#include "workloads/lengths.h"
#include "workloads/properties.h"
#include "workloads/values.h"

enum operation {
    OPERATION_READ = 0,
    OPERATION_UPDATE,
    OPERATION_INSERT,
    OPERATION_SCAN,
    OPERATION_MODIFY,      /* read, then write back */
    OPERATION_DELETE,
    OPERATION_COUNT,
};

/* As YCSB prints it: "READ", "READ-MODIFY-WRITE". */
const char *operation_name(enum operation operation);

struct workload {
    char               name[64];             /* the file's name without folders */
    uint64_t           record_count, operation_count;
    uint64_t           insert_start, insert_count;
    double             weights[OPERATION_COUNT];  /* as given; not yet normalised */
    struct key_shape   keys;
    struct value_shape values;
    enum chooser_kind  chooser;
    double             hotspot_data, hotspot_operations;
    double             exponential_percentile, exponential_fraction;
    double             zipfian_constant;
    struct keyrange_options keyrange;
    double             value_shape, value_scale;  /* VALUE_PARETO */
    struct length_table value_lengths;       /* VALUE_TABLE; empty until a histogram was set */
    char               histogram[256];       /* file to be read and set; empty: none */
    uint64_t           scan_rows_min, scan_rows_max;
    bool               scan_is_zipfian, scan_is_pareto;
    double             scan_shape, scan_scale;
    /* settings of the client that a file may carry; 0 or empty when it does not */
    uint64_t           thread_count, target_per_second, seconds_max, seed;
    bool               has_thread_count, has_seed;
    char               durability[12];
};

/*
 * Lints, then reads. Findings are added to lint in any case. KIWI_INVALID: an error was found, its
 * text is the first one.
 */
MUST_USE enum kiwi_status workload_read(const struct properties *properties, const char *name,
                                        struct lint *lint, struct workload *out);

/* The text of the file that workload->histogram names; KIWI_INVALID as above, with origin. */
MUST_USE enum kiwi_status workload_histogram_set(struct workload *workload, const char *origin,
                                                 const char *text, size_t bytes);

/* YCSB's allowance for records that the run will insert: twice the expected number. */
uint64_t workload_expected_inserts(const struct workload *workload);
bool     workload_inserts(const struct workload *workload);
bool     workload_deletes(const struct workload *workload);
/* Whether other records exist after it than before: it inserts or deletes. */
bool     workload_moves_records(const struct workload *workload);
bool     workload_writes(const struct workload *workload);
bool     workload_scans(const struct workload *workload);
