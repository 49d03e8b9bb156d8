/*
 * notice.c: lines for kiwi_options.log.
 */
#include "core/shard/notice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/shard/shard.h"

void notice_add(struct shard *shard, enum kiwi_log_level level, const char *format, ...)
{
    struct notices *notices = &shard->notices;
    struct notice  *notice;
    va_list         arguments;
    int             used;

    if (shard->options.options.log == NULL)
        return;
    if (notices->count == NOTICE_COUNT_MAX) {
        notices->lost_count++;
        return;
    }
    notice = &notices->list[notices->count++];
    notice->level = level;
    used = snprintf(notice->text, sizeof notice->text, "shard %u of %.200s: ", shard->index,
                    shard->directory);
    assert(used > 0);
    assert((size_t)used < sizeof notice->text);
    va_start(arguments, format);
    (void)vsnprintf(notice->text + used, sizeof notice->text - (size_t)used, format, arguments);
    va_end(arguments);
    background_wake(shard);
}

bool notices_take(struct shard *shard, struct notices *out)
{
    struct notices *notices = &shard->notices;

    if (LIKELY(notices->count == 0))
        return false;
    memcpy(out->list, notices->list, notices->count * sizeof notices->list[0]);
    out->count = notices->count;
    out->lost_count = notices->lost_count;
    notices->count = notices->lost_count = 0;
    return true;
}

void notices_tell(const struct kiwi_options *options, const struct notices *notices)
{
    char text[64];

    assert(options->log != NULL);
    for (uint32_t i = 0; i < notices->count; i++)
        options->log(options->log_context, notices->list[i].level, notices->list[i].text);
    if (notices->lost_count == 0)
        return;
    snprintf(text, sizeof text, "%u more lines came too fast to be kept", notices->lost_count);
    options->log(options->log_context, KIWI_LOG_NOTE, text);
}

void notices_leave(struct shard *shard, struct context *runner)
{
    struct notices notices;
    bool           any = notices_take(shard, &notices);

    shard_leave(shard, runner);
    if (UNLIKELY(any))
        notices_tell(&shard->options.options, &notices);
}

/* ---- flushes and merges ---- */

void trouble_note(struct shard *shard)
{
    if (shard->stopped == KIWI_OK) /* else it tells why */
        snprintf(shard->trouble, sizeof shard->trouble, "%.250s", fail_text());
}

void failure_notice(struct shard *shard, bool is_flush, enum kiwi_status status)
{
    bool *is_told = is_flush ? &shard->flush_is_told : &shard->compaction_is_told;

    if (!*is_told && shard->stopped == KIWI_OK)
        notice_add(shard, status == KIWI_CORRUPT ? KIWI_LOG_ERROR : KIWI_LOG_WARNING,
                   "a %s has failed and is tried again: %s", is_flush ? "flush" : "merge",
                   shard->trouble);
    *is_told = true;
}

void success_notice(struct shard *shard, bool is_flush)
{
    bool *is_told = is_flush ? &shard->flush_is_told : &shard->compaction_is_told;

    if (*is_told)
        notice_add(shard, KIWI_LOG_NOTE, "%s work again", is_flush ? "flushes" : "merges");
    *is_told = false;
}
