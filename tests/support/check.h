/*
 * check.h: what a test needs to succeed, and what to say when it does not. Include it after
 * cmocka.h.
 */
#pragma once

#include "kiwi/kiwi.h"

/* label: a string that says which of many runs this is. */
#define check_ok_of(label, call)                                                                \
    do {                                                                                        \
        enum kiwi_status check_status = (call);                                                 \
        if (check_status != KIWI_OK)                                                            \
            fail_msg("%s: %s: %s: %s", (label), #call, kiwi_status_text(check_status),          \
                     kiwi_error_text());                                                        \
    } while (0)

/* A file with many runs defines CHECK_LABEL, its label, before it includes this. */
#ifdef CHECK_LABEL
#define check_ok(call) check_ok_of(CHECK_LABEL, call)
#else
#define check_ok(call)                                                                          \
    do {                                                                                        \
        enum kiwi_status check_status = (call);                                                 \
        if (check_status != KIWI_OK)                                                            \
            fail_msg("%s: %s: %s", #call, kiwi_status_text(check_status), kiwi_error_text());   \
    } while (0)
#endif
