/*
 * mapping.c: a page of the process's own for one that is gone. The handler walks a list whose nodes
 * are never freed and only ever change in whole words, so it needs no lock.
 */
#include "io/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/memory.h"

#define PAGE_BYTES    4096u
#define HANDLER_COUNT 4u

struct mapping {
    _Atomic uintptr_t      begin; /* 0: free to be used again; written last, cleared first */
    _Atomic size_t         bytes;
    _Atomic(atomic_bool *) is_lost;
    struct mapping        *next;
};

static _Atomic(struct mapping *) mappings;
static pthread_mutex_t           mappings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction          actions_before[HANDLER_COUNT];
static uint32_t                  handler_count; /* set so far */

static struct mapping *mapping_of(uintptr_t address)
{
    struct mapping *mapping = atomic_load_explicit(&mappings, memory_order_acquire);

    for (; mapping != NULL; mapping = mapping->next) {
        uintptr_t begin = atomic_load_explicit(&mapping->begin, memory_order_acquire);

        if (begin != 0 && address - begin < atomic_load_explicit(&mapping->bytes,
                                                                 memory_order_relaxed))
            return mapping;
    }
    return NULL;
}

/* ---- in the handler: only what a signal may do ---- */

/* The new page holds what can still be read of the old one (a page that lost its backing while it
 * was in memory can), else zeros: a read by the kernel fails where one by us would fault again. */
static bool page_replace(void *page)
{
    void        *fresh = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec to = { fresh, PAGE_BYTES }, from = { page, PAGE_BYTES };

    if (fresh == MAP_FAILED)
        return false;
    if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) < 0)
        errno = 0; /* zeros, then */
    if (mremap(fresh, PAGE_BYTES, PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, page) != MAP_FAILED)
        return true;
    munmap(fresh, PAGE_BYTES);
    return false;
}

static bool access_save(const siginfo_t *info)
{
    uintptr_t       address = (uintptr_t)info->si_addr;
    struct mapping *mapping = mapping_of(address);

    if (mapping == NULL || !page_replace((uint8_t *)info->si_addr - address % PAGE_BYTES))
        return false;
    atomic_store_explicit(atomic_load_explicit(&mapping->is_lost, memory_order_relaxed), true,
                          memory_order_release);
    return true;
}

/* The access is made again, or the signal sent again, and ends the process as it would have. */
static void end_process(int number, bool was_sent)
{
    struct sigaction plain = { .sa_handler = SIG_DFL };

    sigaction(number, &plain, NULL);
    if (was_sent)
        raise(number);
}

static void pass_on(const struct sigaction *before, int number, siginfo_t *info, void *machine)
{
    bool was_sent = info->si_code <= 0;

    if ((before->sa_flags & SA_SIGINFO) != 0)
        before->sa_sigaction(number, info, machine);
    else if (before->sa_handler == SIG_DFL || (before->sa_handler == SIG_IGN && !was_sent))
        end_process(number, was_sent);
    else if (before->sa_handler != SIG_IGN)
        before->sa_handler(number);
}

static void bus_error(uint32_t place, int number, siginfo_t *info, void *machine)
{
    int saved = errno;

    if (info->si_code <= 0 || !access_save(info))
        pass_on(&actions_before[place], number, info, machine);
    errno = saved;
}

/* Each knows the one before it. With one for all, a handler that was set between two of ours, and
 * passes on to the first, would be called again by the second, without end. */
static void bus_error_first(int number, siginfo_t *info, void *machine)
{
    bus_error(0, number, info, machine);
}

static void bus_error_second(int number, siginfo_t *info, void *machine)
{
    bus_error(1, number, info, machine);
}

static void bus_error_third(int number, siginfo_t *info, void *machine)
{
    bus_error(2, number, info, machine);
}

static void bus_error_fourth(int number, siginfo_t *info, void *machine)
{
    bus_error(3, number, info, machine);
}

static void (*const handlers[HANDLER_COUNT])(int, siginfo_t *, void *) = {
    bus_error_first, bus_error_second, bus_error_third, bus_error_fourth,
};

/* ---- outside ---- */

static bool is_ours(const struct sigaction *action)
{
    for (uint32_t i = 0; i < handler_count; i++)
        if ((action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handlers[i])
            return true;
    return false;
}

/* Once more where somebody has put another one in its place; that may happen a few times. */
static enum kiwi_status handler_set(void)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK }, present;

    if (sigaction(SIGBUS, NULL, &present) != 0)
        return FAIL(KIWI_IO, "cannot watch over mapped files: error %d of sigaction", errno);
    if (is_ours(&present) || handler_count == HANDLER_COUNT)
        return KIWI_OK;
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = handlers[handler_count];
    actions_before[handler_count++] = present;
    if (sigaction(SIGBUS, &action, NULL) != 0)
        return FAIL(KIWI_IO, "cannot watch over mapped files: error %d of sigaction", errno);
    return KIWI_OK;
}

static struct mapping *mapping_free_find(void)
{
    struct mapping *mapping = atomic_load_explicit(&mappings, memory_order_relaxed);

    while (mapping != NULL && atomic_load_explicit(&mapping->begin, memory_order_relaxed) != 0)
        mapping = mapping->next;
    return mapping;
}

enum kiwi_status mapping_guard(const void *address, size_t bytes, atomic_bool *is_lost)
{
    struct mapping  *mapping, *first;
    enum kiwi_status status;

    atomic_store_explicit(is_lost, false, memory_order_relaxed);
    pthread_mutex_lock(&mappings_lock);
    if ((status = handler_set()) != KIWI_OK)
        goto done;
    first = atomic_load_explicit(&mappings, memory_order_relaxed);
    mapping = mapping_free_find();
    if (mapping == NULL) {
        mapping = memory_allocate_zeroed(sizeof *mapping);
        if (mapping == NULL) {
            status = FAIL(KIWI_NO_MEMORY, "no memory: %zu bytes for a mapping", sizeof *mapping);
            goto done;
        }
        mapping->next = first;
        atomic_store_explicit(&mappings, mapping, memory_order_release);
    }
    atomic_store_explicit(&mapping->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&mapping->is_lost, is_lost, memory_order_relaxed);
    atomic_store_explicit(&mapping->begin, (uintptr_t)address, memory_order_release);
done:
    pthread_mutex_unlock(&mappings_lock);
    return status;
}

void mapping_release(const void *address)
{
    struct mapping *mapping;

    pthread_mutex_lock(&mappings_lock);
    mapping = mapping_of((uintptr_t)address);
    assert(mapping != NULL); /* guarded once, released once */
    atomic_store_explicit(&mapping->begin, 0, memory_order_release);
    pthread_mutex_unlock(&mappings_lock);
}
