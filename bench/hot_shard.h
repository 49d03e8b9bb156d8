/*
 * hot_shard.h: the hot records of requestdistribution=hotshard, all on one shard of the engine.
 *
 * Where a key goes is known only once the database is open, because it has a seed of its own.
 */
#pragma once

#include "bench/engine.h"
#include "workloads/choosers.h"
#include "workloads/workload.h"

/*
 * The first records that are on shard 0, as many as the chooser has hot ones or there are, become
 * its hot records; *records holds them, was from an earlier call or NULL, and is the caller's. An
 * engine without shards keeps the first records. Nothing happens to choosers of another kind.
 */
MUST_USE enum kiwi_status hot_shard_place(const struct engine_class *class,
                                          const struct engine       *engine,
                                          const struct workload *workload, struct chooser *chooser,
                                          uint64_t **records);
