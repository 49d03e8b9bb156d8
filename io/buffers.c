/*
 * buffers.c: a buddy allocator over one reserved range, with a stack of ready frames per size.
 *
 * The range is reserved at open and costs memory only where frames were touched; low addresses are
 * preferred, so a pool that is used little stays small. Buddies as in Knuth, TAOCP 1, section 2.5.
 *
 *   orders   0: 4 KiB ... 8: 1 MiB, 9: 2 MiB (a whole free huge page)
 *   fast     a taken frame comes from the stack of its order, a given one goes there
 */
#include "io/buffers.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/memory.h"

#if defined(KIWI_SANITIZED) && defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define frame_poison(frame, bytes)   __asan_poison_memory_region((frame), (bytes))
#define frame_unpoison(frame, bytes) __asan_unpoison_memory_region((frame), (bytes))
#else
#define frame_poison(frame, bytes)   ((void)(frame), (void)(bytes))
#define frame_unpoison(frame, bytes) ((void)(frame), (void)(bytes))
#endif

enum {
    HUGE_BYTES = 2 << 20,
    HUGE_POOL_BYTES_MIN = 4 << 20, /* a smaller pool must not grow by 2 MiB for one frame */
    ORDER_REGION = 9,
    ORDER_COUNT = ORDER_REGION + 1,
    ORDER_FRAME_MAX = 8,
    FRAME_BYTES_MAX = 1 << 20,
    STACK_COUNT_MAX = 16, /* ready frames of one order ... */
    STACK_BYTES_MAX = 256 << 10, /* ... and not more than this of the large ones */
};
static_assert((uint64_t)PAGE_BYTES << ORDER_REGION == HUGE_BYTES, "the top order is a huge page");
static_assert((uint64_t)PAGE_BYTES << ORDER_FRAME_MAX == FRAME_BYTES_MAX, "frames end at 1 MiB");

static const uint32_t NONE = UINT32_MAX;

enum page_state { PAGE_INSIDE = 0, PAGE_FREE = 1, PAGE_TAKEN = 2, PAGE_READY = 3 };

struct page { /* about the frame that begins at this 4 KiB page */
    uint32_t next, previous; /* PAGE_FREE: in the list of its order */
    uint8_t  state, order;
};

struct ready_stack {
    uint32_t count;
    uint32_t pages[STACK_COUNT_MAX];
};

struct buffers {
    uint8_t           *base;
    size_t             bytes;
    uint32_t           page_count;
    struct page       *pages;
    uint32_t           free_heads[ORDER_COUNT];
    struct ready_stack ready[ORDER_COUNT];
    size_t             used_bytes; /* heap frames too */
    size_t             heap_bytes;
    uint32_t           touched_pages;
};

/* ---- regions ---- */

static _Atomic uint64_t region_bytes_in_use;

static size_t region_size(size_t bytes)
{
    return (size_t)round_up_u64(bytes, bytes < HUGE_BYTES ? PAGE_BYTES : HUGE_BYTES);
}

static void *pages_map(size_t bytes, bool wants_huge)
{
    size_t   size = region_size(bytes), reserved = size + HUGE_BYTES;
    uint8_t *whole, *base;

    assert(bytes > 0);
    if (memory_fails_now())
        return NULL;
    whole = mmap(NULL, reserved, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED)
        return NULL;
    base = whole + (HUGE_BYTES - (uintptr_t)whole % HUGE_BYTES) % HUGE_BYTES;
    if (base > whole)
        munmap(whole, (size_t)(base - whole));
    munmap(base + size, (size_t)(whole + reserved - (base + size)));
    if (size >= HUGE_BYTES) /* a wish; small pages work too, and huge ones where all are huge */
        madvise(base, size, wants_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    atomic_fetch_add_explicit(&region_bytes_in_use, size, memory_order_relaxed);
    return base;
}

void *region_map(size_t bytes)
{
    return pages_map(bytes, true);
}

void region_wish_huge(void *base, size_t bytes)
{
    madvise(base, bytes, MADV_HUGEPAGE); /* a wish; small pages work too */
}

void region_unmap(void *base, size_t bytes)
{
    if (base == NULL)
        return;
    if (munmap(base, region_size(bytes)) != 0)
        assert(0 && "a region ends with the size it began with");
    atomic_fetch_sub_explicit(&region_bytes_in_use, region_size(bytes), memory_order_relaxed);
}

uint64_t region_mapped_bytes(void)
{
    return atomic_load_explicit(&region_bytes_in_use, memory_order_relaxed);
}

/* ---- buddies ---- */

static uint32_t order_of(size_t bytes)
{
    size_t pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;

    return pages <= 1 ? 0 : 64u - (uint32_t)__builtin_clzll(pages - 1);
}

static void list_push(struct buffers *buffers, uint32_t page, uint32_t order)
{
    uint32_t head = buffers->free_heads[order];

    buffers->pages[page] = (struct page){ .next = head, .previous = NONE, .state = PAGE_FREE,
                                          .order = (uint8_t)order };
    if (head != NONE)
        buffers->pages[head].previous = page;
    buffers->free_heads[order] = page;
}

static void list_remove(struct buffers *buffers, uint32_t page)
{
    struct page *entry = &buffers->pages[page];

    assert(entry->state == PAGE_FREE);
    if (entry->previous != NONE)
        buffers->pages[entry->previous].next = entry->next;
    else
        buffers->free_heads[entry->order] = entry->next;
    if (entry->next != NONE)
        buffers->pages[entry->next].previous = entry->previous;
    entry->state = PAGE_INSIDE;
}

static void buddy_free(struct buffers *buffers, uint32_t page, uint32_t order)
{
    for (; order < ORDER_REGION; order++) {
        uint32_t     buddy = page ^ (1u << order);
        struct page *entry = &buffers->pages[buddy];

        if (entry->state != PAGE_FREE || entry->order != order)
            break;
        list_remove(buffers, buddy);
        buffers->pages[page].state = PAGE_INSIDE;
        page &= ~(1u << order);
    }
    list_push(buffers, page, order);
}

static void ready_give_back(struct buffers *buffers)
{
    for (uint32_t order = 0; order < ORDER_COUNT; order++) {
        struct ready_stack *ready = &buffers->ready[order];

        while (ready->count > 0)
            buddy_free(buffers, ready->pages[--ready->count], order);
    }
}

static uint32_t buddy_find(struct buffers *buffers, uint32_t order)
{
    uint32_t from = order, page;

    while (from < ORDER_COUNT && buffers->free_heads[from] == NONE)
        from++;
    if (from == ORDER_COUNT)
        return NONE;
    page = buffers->free_heads[from];
    list_remove(buffers, page);
    while (from > order) {
        from--;
        list_push(buffers, page + (1u << from), from);
    }
    return page;
}

static uint32_t buddy_take(struct buffers *buffers, uint32_t order)
{
    uint32_t page = buddy_find(buffers, order);

    if (page != NONE)
        return page;
    ready_give_back(buffers); /* what waits in the stacks may join to a frame of this size */
    return buddy_find(buffers, order);
}

/* ---- open and close ---- */

enum kiwi_status buffers_open(size_t bytes, struct buffers **out)
{
    struct buffers *buffers = memory_allocate_zeroed(sizeof *buffers);

    *out = NULL;
    if (buffers == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a buffer pool of %zu bytes", bytes);
    buffers->bytes = (size_t)round_up_u64(bytes == 0 ? 1 : bytes, HUGE_BYTES);
    assert(buffers->bytes / PAGE_BYTES < UINT32_MAX);
    buffers->page_count = (uint32_t)(buffers->bytes / PAGE_BYTES);
    buffers->pages = memory_allocate_zeroed(buffers->page_count * sizeof *buffers->pages);
    if (buffers->pages != NULL)
        buffers->base = pages_map(buffers->bytes, buffers->bytes >= HUGE_POOL_BYTES_MIN);
    if (buffers->base == NULL) {
        memory_free(buffers->pages);
        memory_free(buffers);
        return FAIL(KIWI_NO_MEMORY, "no memory for a buffer pool of %zu bytes", bytes);
    }
    for (uint32_t order = 0; order < ORDER_COUNT; order++)
        buffers->free_heads[order] = NONE;
    for (uint32_t page = buffers->page_count; page > 0; page -= 1u << ORDER_REGION)
        list_push(buffers, page - (1u << ORDER_REGION), ORDER_REGION);
    frame_poison(buffers->base, buffers->bytes);
    *out = buffers;
    return KIWI_OK;
}

void buffers_close(struct buffers *buffers)
{
    if (buffers == NULL)
        return;
    assert(buffers->used_bytes == 0);
    frame_unpoison(buffers->base, buffers->bytes);
    region_unmap(buffers->base, buffers->bytes);
    memory_free(buffers->pages);
    memory_free(buffers);
}

/* ---- frames ---- */

static size_t frame_bytes(size_t bytes)
{
    return bytes > FRAME_BYTES_MAX ? (size_t)round_up_u64(bytes, PAGE_BYTES)
                                   : (size_t)PAGE_BYTES << order_of(bytes);
}

static void *heap_take(struct buffers *buffers, size_t bytes)
{
    void *frame = memory_allocate_aligned(frame_bytes(bytes), PAGE_BYTES);

    if (frame == NULL)
        return NULL;
    buffers->used_bytes += frame_bytes(bytes);
    buffers->heap_bytes += frame_bytes(bytes);
    return frame;
}

void *buffers_take_pooled(struct buffers *buffers, size_t bytes)
{
    uint32_t            order, page;
    struct ready_stack *ready;

    if (UNLIKELY(bytes > FRAME_BYTES_MAX))
        return NULL;
    order = order_of(bytes);
    ready = &buffers->ready[order];
    if (LIKELY(ready->count > 0))
        page = ready->pages[--ready->count];
    else
        page = buddy_take(buffers, order);
    if (UNLIKELY(page == NONE))
        return NULL;
    if (UNLIKELY(page + (1u << order) > buffers->touched_pages))
        buffers->touched_pages = page + (1u << order);
    buffers->pages[page].state = PAGE_TAKEN;
    buffers->pages[page].order = (uint8_t)order;
    buffers->used_bytes += (size_t)PAGE_BYTES << order;
    frame_unpoison(buffers->base + (size_t)page * PAGE_BYTES, (size_t)PAGE_BYTES << order);
    return buffers->base + (size_t)page * PAGE_BYTES;
}

void *buffers_take(struct buffers *buffers, size_t bytes)
{
    void *frame = buffers_take_pooled(buffers, bytes);

    return LIKELY(frame != NULL) ? frame : heap_take(buffers, bytes);
}

void buffers_give(struct buffers *buffers, void *frame, size_t bytes)
{
    size_t              offset = (size_t)((uint8_t *)frame - buffers->base);
    uint32_t            order = order_of(bytes), page = (uint32_t)(offset / PAGE_BYTES);
    struct ready_stack *ready;

    if (frame == NULL)
        return;
    assert(buffers->used_bytes >= frame_bytes(bytes));
    buffers->used_bytes -= frame_bytes(bytes);
    if (UNLIKELY(offset >= buffers->bytes)) {
        assert(buffers->heap_bytes >= frame_bytes(bytes));
        buffers->heap_bytes -= frame_bytes(bytes);
        memory_free(frame);
        return;
    }
    assert(buffers->pages[page].state == PAGE_TAKEN); /* given once, and as it was taken */
    assert(buffers->pages[page].order == order);
    frame_poison(frame, (size_t)PAGE_BYTES << order);
    ready = &buffers->ready[order];
    if (ready->count < STACK_COUNT_MAX
        && (order == 0 || (ready->count + 1) * ((size_t)PAGE_BYTES << order) <= STACK_BYTES_MAX)) {
        buffers->pages[page].state = PAGE_READY;
        ready->pages[ready->count++] = page;
        return;
    }
    buddy_free(buffers, page, order);
}

size_t buffers_used_bytes(const struct buffers *buffers)
{
    return buffers->used_bytes;
}

size_t buffers_touched_bytes(const struct buffers *buffers)
{
    size_t bytes = (size_t)buffers->touched_pages * PAGE_BYTES;

    return buffers->bytes < HUGE_POOL_BYTES_MIN || bytes == 0
         ? bytes : (size_t)round_up_u64(bytes, HUGE_BYTES);
}

size_t buffers_heap_bytes(const struct buffers *buffers)
{
    return buffers->heap_bytes;
}

bool buffers_region(const struct buffers *buffers, uint32_t index, void **base, size_t *bytes)
{
    if (index > 0)
        return false;
    *base = buffers->base;
    *bytes = buffers->bytes;
    return true;
}
