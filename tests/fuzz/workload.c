/*
 * workload.c: a property file of the input's bytes, parsed, linted and read as a workload.
 */
#include <math.h>

#include "tests/fuzz/fuzz.h"
#include "workloads/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct properties properties = { 0 }, copy = { 0 };
    struct lint       lint = { 0 };
    struct workload   workload;
    char             *text = malloc(bytes + 1);

    fuzz_promise(text != NULL);
    if (bytes > 0)
        memcpy(text, data, bytes);
    if (properties_parse(&properties, "fuzz", text, bytes) == KIWI_OK) {
        for (size_t i = 0; i < properties.count; i++) {
            const struct property *property = &properties.items[i];

            fuzz_promise(properties_find(&properties, property->name) == property);
            fuzz_promise(property->value != NULL && property->origin != NULL);
            (void)catalogue_nearest(property->name);
        }
        fuzz_promise(properties_copy(&copy, &properties) == KIWI_OK);
        fuzz_promise(copy.count == properties.count);
    }
    if (workload_read(&properties, "fuzz", &lint, &workload) == KIWI_OK) {
        double sum = 0;

        fuzz_promise(lint.error_count == 0);
        for (int i = 0; i < OPERATION_COUNT; i++) {
            fuzz_promise(isfinite(workload.weights[i]) && workload.weights[i] >= 0);
            sum += workload.weights[i];
        }
        fuzz_promise(sum > 0);
        fuzz_promise(workload.scan_rows_min <= workload.scan_rows_max);
        fuzz_promise(workload.values.field_bytes_min <= workload.values.field_bytes_max);
        (void)value_bytes_max(&workload.values);
        (void)workload_expected_inserts(&workload);
        for (uint64_t record = 0; record < 4; record++) {
            uint8_t key[KEY_BYTES_MAX];
            size_t  size = key_write(&workload.keys, workload.insert_start + record, key);

            fuzz_promise(size <= KEY_BYTES_MAX);
            fuzz_promise(key_is(&workload.keys, workload.insert_start + record, key, size));
        }
    }
    lint_free(&lint);
    properties_free(&properties);
    properties_free(&copy);
    free(text);
    return 0;
}
