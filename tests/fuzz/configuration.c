/*
 * configuration.c: a config.json of the input's bytes. What is accepted gives options in the ranges
 * that the keys promise; what is refused is left as it was.
 */
#include <fcntl.h>
#include <unistd.h>

#include "app/config.h"
#include "tests/fuzz/fuzz.h"

static char directory[300], path[320];

static void directory_remove(void)
{
    (void)unlink(path);
    (void)rmdir(directory);
}

static void directory_make(void)
{
    const char *base = getenv("TMPDIR");

    if (directory[0] != 0)
        return;
    snprintf(directory, sizeof directory, "%s/kiwi-fuzz-XXXXXX", base != NULL ? base : "/tmp");
    fuzz_promise(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/config.json", directory);
    atexit(directory_remove);
}

static void file_write(const uint8_t *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");

    fuzz_promise(file != NULL);
    fuzz_promise(fwrite(data, 1, bytes, file) == bytes);
    fuzz_promise(fclose(file) == 0);
}

static bool file_is(const uint8_t *data, size_t bytes)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *found = malloc(bytes + 1);
    bool     is_same;

    fuzz_promise(file != NULL && found != NULL);
    is_same = fread(found, 1, bytes + 1, file) == bytes
           && (bytes == 0 || memcmp(found, data, bytes) == 0);
    fclose(file);
    free(found);
    return is_same;
}

/* Messages are not what is tested. */
static int apply_quietly(struct kiwi_options *options)
{
    static const struct command   command = { .name = "fuzz" };
    static const struct arguments arguments;
    int kept = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC), code;

    fuzz_promise(kept >= 0 && nowhere >= 0);
    fflush(stderr);
    dup2(nowhere, STDERR_FILENO);
    code = config_apply(&command, &arguments, directory, options);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(nowhere);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct kiwi_options options = kiwi_options_default(), initial = options;
    int                 code;

    directory_make();
    file_write(data, bytes);
    code = apply_quietly(&options);
    fuzz_promise(code == EXIT_DONE || code == EXIT_ENVIRONMENT);
    fuzz_promise(file_is(data, bytes));
    if (code == EXIT_DONE) {
        options.memory_bytes = 1ull << 40; /* of the command line, which sets no other of these */
        if (kiwi_options_check(&options) != KIWI_OK)
            fprintf(stderr, "%s\n", kiwi_error_text());
        fuzz_promise(kiwi_options_check(&options) == KIWI_OK);
    } else {
        fuzz_promise(memcmp(&options, &initial, sizeof options) == 0);
    }
    return 0;
}
