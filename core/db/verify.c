/*
 * verify.c: a survey that only tells what it finds.
 */
#include "core/db/survey.h"

enum kiwi_status kiwi_verify(const char *directory, const struct kiwi_verify_options *options,
                             struct kiwi_verify_report *report)
{
    struct survey_options  survey = { .io_backend = options->io_backend, .io = options->io,
                                      .found = options->found, .progress = options->progress,
                                      .context = options->context };
    struct survey_identity identity;

    return survey_run(directory, &survey, report, &identity);
}
