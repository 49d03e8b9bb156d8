/*
 * version.c: which program this is.
 */
#include <jansson.h>

#include "app/command.h"
#include "build_info.h"

int command_version(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    if (arguments->is_json) {
        json_t *document =
            json_pack("{s:s, s:i, s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "schema", "kiwi.version",
                      "version", 1, "program_version", BUILD_VERSION, "commit", BUILD_COMMIT,
                      "is_dirty", BUILD_DIRTY, "build_type", BUILD_TYPE, "compiler", BUILD_COMPILER,
                      "sanitizer", BUILD_SANITIZER, "jansson", jansson_version_str());

        json_dumpf(document, stdout, JSON_INDENT(1));
        fputc('\n', stdout);
        json_decref(document);
        return EXIT_DONE;
    }
    printf("kiwidb %s\ncommit    %.12s%s\nbuild     %s, %s%s%s\njansson   %s\n", BUILD_VERSION,
           BUILD_COMMIT, BUILD_DIRTY ? " with changes" : "", BUILD_TYPE, BUILD_COMPILER,
           BUILD_SANITIZER[0] != 0 ? ", sanitizer " : "", BUILD_SANITIZER, jansson_version_str());
    return EXIT_DONE;
}
