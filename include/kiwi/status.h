/*
 * status.h: how a call ended, and the text that says why.
 *
 * Thread   kiwi_error_text is per thread; the rest may be called from anywhere.
 */
#pragma once

enum kiwi_status {
    KIWI_OK = 0,
    KIWI_NOT_FOUND,    /* a clean "no": the key or thing is not there */
    KIWI_INVALID,      /* the caller asked for something that makes no sense */
    KIWI_TOO_LARGE,    /* a key, value, batch or buffer is beyond a limit; the text names it */
    KIWI_TOO_SMALL,    /* the caller's buffer cannot hold the result; the size needed is reported */
    KIWI_BUSY,         /* a bounded queue is full, or a write had no room in its time: try again */
    KIWI_LOCKED,       /* another process has the database open; the text names its pid */
    KIWI_IO,           /* the operating system refused a read or write */
    KIWI_FULL,         /* no space left on the device; reads go on */
    KIWI_CORRUPT,      /* bytes on disk are not what was written; the text names file and offset */
    KIWI_NO_MEMORY,
    KIWI_UNSUPPORTED,  /* the host or this build cannot do it; the text names the way round */
    KIWI_STOPPED,      /* an earlier log or manifest error stopped writes until the next open */
    KIWI_CLOSED,
    KIWI_STATUS_COUNT,
};

/* A short lower-case phrase for the status, never NULL. */
const char *kiwi_status_text(enum kiwi_status status);

/*
 * What the last failed call on this thread said, with file, offset, field or limit.
 * Empty when nothing failed yet. Valid until the next failing call on this thread.
 */
const char *kiwi_error_text(void);
