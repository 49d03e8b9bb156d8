/*
 * failure.c: errno to status, and the text with path, offset and cause.
 */
#include "io/failure.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static enum kiwi_status status_of(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return KIWI_FULL;
    case ENOMEM:
        return KIWI_NO_MEMORY;
    case ENOENT:
        return KIWI_NOT_FOUND;
    case FAILURE_PAST_END:
        return KIWI_CORRUPT;
    default:
        return KIWI_IO;
    }
}

static const char *cause_of(int error)
{
    const char *text;

    if (error == FAILURE_STOPPED)
        return "simulated stop";
    if (error == FAILURE_PAST_END)
        return "past the end of the file";
    if (error == FAILURE_SHORT)
        return "written in part only, also when repeated (a limit on the size of files?)";
    text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

enum kiwi_status failure_of_path(int error, const char *what, const char *path)
{
    assert(error > 0);
    return FAIL(status_of(error), "%s %s: %s", what, path, cause_of(error));
}

enum kiwi_status failure_of_place(int error, const struct failure_place *place)
{
    enum kiwi_status status = status_of(error);

    assert(error > 0);
    /* An open file has a name or had one; ENOENT for its bytes is no clean "not there". */
    if (status == KIWI_NOT_FOUND)
        status = KIWI_IO;
    if (error == FAILURE_PAST_END)
        return FAIL(status,
                    "%s %s: %" PRIu64 " bytes at offset %" PRIu64 " end past the file, which has %"
                    PRIu64, place->what, place->path, place->bytes, place->offset,
                    place->file_bytes);
    return FAIL(status, "%s %s: %" PRIu64 " bytes at offset %" PRIu64 ": %s", place->what,
                place->path, place->bytes, place->offset, cause_of(error));
}
