/*
 * group_due.h: when the next log group is cut. A decision alone: no state, no clock.
 *
 * While nothing is in flight: at once. Otherwise it depends on who is inside:
 *
 * Blocked callers  come back one by one as their groups finish, and each of them would cut a group
 *   of one record if it might. A group costs its leader a device write and a sleep, whatever is in
 *   it, and the device takes few a second. So a group waits until as many callers are staged as are
 *   on their way: with n callers the groups in flight hold about n/2, n/4 and so on, and the last
 *   ones never wait for more than the write before theirs.
 * Polling callers  have many operations each and see finished groups without being woken: a group
 *   grows to 64 KiB or 20 microseconds.
 *
 * A group that is not due waits for one in flight: whoever takes that back asks again, and with
 * nothing in flight every group is due. So no group is ever left lying.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GROUP_FULL_BYTES (64u << 10)
#define GROUP_AGE_NS     20000u

struct group_look {
    uint32_t groups_out;      /* in flight */
    uint32_t waiter_count;    /* for anything of this log that is not durable */
    uint32_t staged_count;    /* of them: for records that are in no group in flight */
    uint64_t staged_bytes;
    uint64_t staged_age_ns;   /* of the oldest staged waiter; only looked at for polling callers */
    bool     executor_polls;
};

static inline bool group_is_due(const struct group_look *look)
{
    if (look->staged_count == 0)
        return false;
    if (look->groups_out == 0 || look->staged_bytes >= GROUP_FULL_BYTES)
        return true;
    if (look->executor_polls)
        return look->staged_age_ns >= GROUP_AGE_NS;
    return look->staged_count >= look->waiter_count - look->staged_count;
}
