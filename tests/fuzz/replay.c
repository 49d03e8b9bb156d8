/*
 * replay.c: a main that feeds a target with files, and with all files of folders, in place of
 * libFuzzer's. Any compiler; prints how many inputs it gave.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static int compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The input in memory of exactly its size, so that a sanitizer sees what reads beyond it. */
static uint32_t file_give(const char *path)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *data;
    long     bytes;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (bytes = ftell(file)) < 0) {
        perror(path);
        exit(2);
    }
    rewind(file);
    data = malloc(bytes == 0 ? 1 : (size_t)bytes);
    if (data == NULL || fread(data, 1, (size_t)bytes, file) != (size_t)bytes) {
        perror(path);
        exit(2);
    }
    fclose(file);
    fprintf(stderr, "%s\n", path); /* should it end here, the last line says which it was */
    (void)LLVMFuzzerTestOneInput(data, (size_t)bytes);
    free(data);
    return 1;
}

static uint32_t path_give(const char *path)
{
    struct dirent **entries;
    struct stat     info;
    char            name[4096];
    uint32_t        given = 0;
    int             count;

    if (stat(path, &info) != 0) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(info.st_mode))
        return file_give(path);
    count = scandir(path, &entries, is_input, compare);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        given += file_give(name);
        free(entries[i]);
    }
    free(entries);
    return given;
}

int main(int argc, char **argv)
{
    uint32_t given = 0;

    for (int i = 1; i < argc; i++)
        given += path_give(argv[i]);
    printf("%u inputs\n", given);
    return given == 0 ? 2 : 0; /* a corpus without files proves nothing */
}
