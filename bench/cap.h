/*
 * cap.h: a limit on all memory of a child process, page cache included, by a control group.
 *
 * Why      --memory is what an engine is asked to keep to. One that maps its files or reads through
 *          the page cache takes what the machine has beside that; a group with a limit gives all
 *          the same.
 * Where    below the group of this process (first version: the hierarchy of the memory
 *          controller), or below the nearest group above that hands the controller down (second
 *          version). Nothing is mounted and no setting of another group is changed.
 * Thread   one.
 */
#pragma once

#include <limits.h>

#include "core/base/base.h"

#define CAP_PATH_BYTES (PATH_MAX + 64)

/* Where groups can be made. */
struct memory_cap {
    bool is_permitted;
    bool is_unified;               /* the second version of control groups */
    char folder[PATH_MAX];         /* in which groups are made */
    char reason[240];              /* why it is not permitted */
};

/* One group, while it exists. */
struct memory_group {
    bool is_unified;
    char folder[CAP_PATH_BYTES];
};

struct memory_group_usage {
    uint64_t peak_bytes;           /* of process and page cache together; 0: not known */
    uint64_t kill_count;           /* processes ended because they needed more */
};

/*
 * The folder of the group that this process is in, from the texts of /proc/self/mountinfo and
 * /proc/self/cgroup; is_permitted stays false. KIWI_NOT_FOUND: no memory controller is mounted, the
 * text says so. *top: how many bytes of the folder are the mount itself.
 */
MUST_USE enum kiwi_status memory_cap_place(const char *mounts, const char *groups,
                                           struct memory_cap *cap, size_t *top);

/* Finds out by making a group with a limit, and removing it. */
void memory_cap_find(struct memory_cap *cap);

/* What a block may have beside the engine's memory: the driver's histograms, samples and buffers
 * (23 MiB with the null engine), and what any process has of its own: code and libraries, page
 * tables, the allocator's gaps, stacks. */
uint64_t memory_cap_allowance(uint32_t thread_count);

MUST_USE enum kiwi_status memory_group_open(const struct memory_cap *cap, uint64_t bytes,
                                            struct memory_group *out);
/* The file into which a process writes itself; path has CAP_PATH_BYTES. */
void memory_group_entry(const struct memory_group *group, char *path);
void memory_group_usage_read(const struct memory_group *group, struct memory_group_usage *usage);
/* Removes it; its processes have ended. */
MUST_USE enum kiwi_status memory_group_close(struct memory_group *group);
