/*
 * measure.c: reading /proc.
 */
#include "bench/measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void proc_read(const char *path, char *text, size_t bytes)
{
    int     file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file >= 0 ? read(file, text, bytes - 1) : -1;

    text[got > 0 ? got : 0] = 0;
    if (file >= 0)
        close(file);
}

/* The number behind a label; 0 when the label is not there. */
static uint64_t number_after(const char *text, const char *label)
{
    const char *at = strstr(text, label);

    return at != NULL ? strtoull(at + strlen(label), NULL, 10) : 0;
}

static void machine_read(struct usage *usage)
{
    char               text[512];
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, hard = 0, soft = 0,
                       stolen = 0;
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);

    proc_read("/proc/stat", text, sizeof text);
    if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
               &wait, &hard, &soft, &stolen)
        < 7)
        return;
    usage->machine_busy_ns = (user + nice + system + hard + soft) * tick_ns;
    usage->machine_stolen_ns = stolen * tick_ns;
}

void usage_read(struct usage *usage)
{
    struct rusage own;
    char          text[4096];

    memset(usage, 0, sizeof *usage);
    if (getrusage(RUSAGE_SELF, &own) == 0) {
        usage->user_ns = (uint64_t)own.ru_utime.tv_sec * 1000000000u
                       + (uint64_t)own.ru_utime.tv_usec * 1000u;
        usage->system_ns = (uint64_t)own.ru_stime.tv_sec * 1000000000u
                         + (uint64_t)own.ru_stime.tv_usec * 1000u;
        usage->switches_involuntary = (uint64_t)own.ru_nivcsw;
        usage->faults_major = (uint64_t)own.ru_majflt;
    }
    proc_read("/proc/self/io", text, sizeof text);
    usage->device_read_bytes = number_after(text, "\nread_bytes:");
    usage->device_write_bytes = number_after(text, "\nwrite_bytes:");
    proc_read("/proc/self/status", text, sizeof text);
    usage->resident_peak_bytes = number_after(text, "VmHWM:") * 1024;
    usage->resident_bytes = number_after(text, "VmRSS:") * 1024;
    machine_read(usage);
}

void usage_peak_reset(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (file < 0)
        return;
    (void)!write(file, "5", 1);
    close(file);
}

struct usage usage_between(const struct usage *start, const struct usage *end)
{
    struct usage used = *end;

    used.user_ns -= start->user_ns;
    used.system_ns -= start->system_ns;
    used.device_read_bytes -= start->device_read_bytes;
    used.device_write_bytes -= start->device_write_bytes;
    used.switches_involuntary -= start->switches_involuntary;
    used.faults_major -= start->faults_major;
    used.machine_busy_ns -= start->machine_busy_ns;
    used.machine_stolen_ns -= start->machine_stolen_ns;
    return used;
}
