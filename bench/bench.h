/*
 * bench.h: the one door of this room for programs: `kiwidb bench`.
 */
#pragma once

/* argv[0] is "bench". Returns the program's exit code: 0 done, 2 wrong usage, 3 environment or I/O,
 * 4 wrong or corrupt data, 5 locked, 130 and 143 after SIGINT and SIGTERM. */
int bench_command(int argc, char **argv);
