/*
 * lies.c: which file of which shard a lie was about.
 */
#include "tests/sim/lies.h"

#include <stdio.h>
#include <string.h>

static enum lie_place place_of(const char *path, uint32_t *shard)
{
    const char *name = strrchr(path, '/'), *folder = strstr(path, "/shard-");
    unsigned    number = 0;

    *shard = 0;
    if (folder == NULL || name == NULL || sscanf(folder, "/shard-%u", &number) != 1
        || number >= KIWI_SHARD_COUNT_MAX)
        return LIE_OTHER;
    *shard = number;
    if (strncmp(name, "/wal", 4) == 0)
        return LIE_LOG;
    if (strncmp(name, "/manifest", 9) == 0)
        return LIE_MANIFEST;
    return strncmp(name, "/t-", 3) == 0 ? LIE_TABLE : LIE_OTHER;
}

void lies_tell(void *context, const struct simulated_lie *lie)
{
    struct lies   *lies = context;
    uint32_t       shard;
    enum lie_place place = place_of(lie->path, &shard);
    bool is_write = lie->fault == SIMULATED_LOST_WRITE || lie->fault == SIMULATED_MISDIRECTED_WRITE;

    if (lies->is_loud)
        printf("lie: %s of %s, offset %llu, %llu bytes%s\n", simulated_fault_name(lie->fault),
               lie->path, (unsigned long long)lie->offset, (unsigned long long)lie->bytes,
               lies->is_opening ? ", opening" : "");
    if (is_write)
        lies->writes[place]++;
    else
        lies->reads[place]++;
    if (place != LIE_LOG)
        return;
    if (is_write) /* what is written elsewhere takes another group with it */
        lies->log_writes[0][shard] += lie->fault == SIMULATED_MISDIRECTED_WRITE ? 2 : 1;
    else
        lies->log_reads[shard] += lies->is_opening;
}

void lies_opening(struct lies *lies)
{
    lies->is_opening = true;
    memcpy(lies->log_writes[1], lies->log_writes[0], sizeof lies->log_writes[0]);
    memset(lies->log_writes[0], 0, sizeof lies->log_writes[0]);
    memset(lies->log_reads, 0, sizeof lies->log_reads);
}

uint32_t lies_lost_groups_max(const struct lies *lies, uint32_t shard)
{
    if (lies->log_reads[shard] >= 2) /* both looks at the end of the log */
        return UINT32_MAX;
    return lies->log_writes[0][shard] + lies->log_writes[1][shard];
}

bool lies_wrote(const struct lies *lies)
{
    uint32_t sum = 0;

    for (int i = 0; i < LIE_PLACE_COUNT; i++)
        sum += lies->writes[i];
    return sum > 0;
}

bool lies_text_names_place(const char *text)
{
    return strchr(text, '/') != NULL && strstr(text, "offset") != NULL;
}
