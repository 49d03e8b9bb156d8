/*
 * version.c: which program this is.
 */
#include <jansson.h>

#include "app/command.h"
#include "build_info.h"
#include "kiwi/kiwi.h"

int command_version(const struct command *command, const struct arguments *arguments)
{
    struct kiwi_platform platform;

    (void)command;
    kiwi_platform_read(&platform);
    if (arguments->is_json) {
        json_t *document =
            json_pack("{s:s, s:i, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "schema",
                      "kiwi.version", "version", 1, "program_version", BUILD_VERSION, "commit",
                      BUILD_COMMIT, "is_dirty", BUILD_DIRTY, "build_type", BUILD_TYPE, "compiler",
                      BUILD_COMPILER, "sanitizer", BUILD_SANITIZER, "jansson",
                      jansson_version_str(), "liburing", platform.liburing, "has_io_uring",
                      platform.has_io_uring, "io_uring", platform.io_uring, "block_search",
                      platform.block_search);

        json_dumpf(document, stdout, JSON_INDENT(1));
        fputc('\n', stdout);
        json_decref(document);
        return EXIT_DONE;
    }
    printf("kiwidb %s\ncommit    %.12s%s\nbuild     %s, %s%s%s\njansson   %s\nliburing  %s\n"
           "io_uring  %s%s\nsearch    %s\n", BUILD_VERSION,
           BUILD_COMMIT, BUILD_DIRTY ? " with changes" : "", BUILD_TYPE, BUILD_COMPILER,
           BUILD_SANITIZER[0] != 0 ? ", sanitizer " : "", BUILD_SANITIZER, jansson_version_str(),
           platform.liburing, platform.has_io_uring ? "" : "not available: ", platform.io_uring,
           platform.block_search);
    return EXIT_DONE;
}
