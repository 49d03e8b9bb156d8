/*
 * kiwidb from the outside: exit codes, exact bytes, JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/mode.h"

static char   root[64];
static char   output[1 << 20];
static size_t output_bytes;

static int root_make(void **state)
{
    (void)state;
    unsetenv("KIWI_DIR");
    snprintf(root, sizeof root, "/tmp/kiwi-program-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

static void read_all(const char *path)
{
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    output_bytes = fread(output, 1, sizeof output - 1, file);
    output[output_bytes] = 0;
    fclose(file);
}

/* Runs "kiwidb ARGUMENTS" in a shell; output holds what it printed. */
static int kiwidb(const char *arguments)
{
    char command[1024];
    int  status;

    snprintf(command, sizeof command, "'%s' %s > out 2> err", KIWIDB, arguments);
    status = system(command);
    read_all("out");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(const char *arguments, int code)
{
    int seen = kiwidb(arguments);

    if (seen != code) {
        read_all("err");
        fail_msg("kiwidb %s: exit %d, not %d: %s", arguments, seen, code, output);
    }
}

static void expect_output(const char *arguments, const char *wanted)
{
    expect(arguments, 0);
    assert_string_equal(output, wanted);
}

static json_t *json_of(const char *arguments, int code, const char *schema)
{
    json_error_t error;
    json_t      *document;

    expect(arguments, code);
    document = json_loadb(output, output_bytes, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL)
        fail_msg("%s: %s", arguments, error.text);
    assert_string_equal(json_object_iter_key(json_object_iter(document)), "schema");
    assert_string_equal(json_string_value(json_object_get(document, "schema")), schema);
    assert_int_equal(json_integer_value(json_object_get(document, "version")), 1);
    return document;
}

static void help_goes_to_standard_output_within_eighty_columns(void **state)
{
    static const char *const asked[] = {
        "--help", "-h", "help", "get --help", "put -h", "scan --help", "help config", "help bench",
        "bench gate --help", "bench ab --help", "bench versus --help", "bench replay --help",
        "bench report --help", "bench compare --help", "bench repeat --help",
        "bench history --help", "bench merge --help", "bench report -h",
        "bench --help", "stat --help", "version --help", "verify --help",
        "repair --help",
    };

    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        expect(asked[i], 0);
        assert_true(output_bytes > 100);
        for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n"))
            if (strlen(line) > 80)
                fail_msg("%s: %zu columns: %s", asked[i], strlen(line), line);
    }
}

static void wrong_usage_is_exit_two_with_a_pointer(void **state)
{
    static const char *const wrong[][2] = {
        { "", "which command" },
        { "scann", "did you mean 'scan'" },
        { "get", "an argument is missing" },
        { "get a b", "too many" },
        { "get --dirr=x a", "did you mean '--dir'" },
        { "get --in rot13 a", "none of text" },
        { "get --in hex 0g", "hexadecimal" },
        { "get --dir", "needs an argument" },
        { "put --durability maybe a b", "none of durable" },
        { "scan --limit x", "no number" },
        { "config lst", "did you mean 'list'" },
        { "config get max_level", "did you mean 'max_levels'" },
        { "help nothing", "unknown command" },
        { "bench --presett quick", "did you mean '--preset'" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect(wrong[i][0], 2);
        assert_int_equal(output_bytes, 0);
        read_all("err");
        if (strstr(output, wrong[i][1]) == NULL || strstr(output, "see: kiwidb") == NULL)
            fail_msg("%s: %s", wrong[i][0], output);
    }
}

static void missing_database_is_exit_three(void **state)
{
    (void)state;
    expect("get -d nowhere a", 3);
    expect("put -d nowhere a b", 3);
    assert_int_equal(access("nowhere", F_OK), -1);
}

static void values_come_back_byte_for_byte(void **state)
{
    FILE *file = fopen("value", "wb");

    (void)state;
    assert_non_null(file);
    for (int i = 0; i < 70000; i++)
        fputc(i * 7 & 255, file);
    fclose(file);
    expect("put --create -d db photo < value", 0);
    expect("get -d db photo", 0);
    assert_int_equal(system("cmp value out"), 0);
    expect_output("put -d db greeting 'hello world'", "");
    expect_output("get -d db greeting", "hello world");
    expect_output("get -d db greeting --out text", "hello world\n");
    expect_output("get -d db greeting --out base64", "aGVsbG8gd29ybGQ=\n");
}

static void missing_key_and_empty_value_differ(void **state)
{
    json_t *document;

    (void)state;
    expect("put --create -d db empty ''", 0);
    expect_output("get -d db empty", "");
    expect("get -d db absent", 1);
    assert_int_equal(output_bytes, 0);
    document = json_of("get -d db empty --json", 0, "kiwi.get");
    assert_true(json_is_true(json_object_get(document, "found")));
    assert_string_equal(json_string_value(json_object_get(document, "value")), "");
    json_decref(document);
    document = json_of("get -d db absent --json", 1, "kiwi.get");
    assert_true(json_is_false(json_object_get(document, "found")));
    assert_null(json_object_get(document, "value"));
    json_decref(document);
}

static void a_get_explains_what_it_touched(void **state)
{
    json_t *document, *explain;

    (void)state;
    expect("put --create -d explained greeting hello", 0);
    expect_output("get -d explained greeting --explain", "hello");
    read_all("err");
    assert_non_null(strstr(output, "answered by memtable\n"));
    expect("get -d explained absent --explain", 1);
    read_all("err");
    assert_non_null(strstr(output, "answered by nothing\n"));
    /* Larger than the first buffer. */
    assert_int_equal(system("head -c 300000 /dev/zero | tr '\\0' x > large"), 0);
    expect("put -d explained large < large", 0);
    expect("get -d explained large --explain", 0);
    assert_int_equal(output_bytes, 300000);
    assert_null(strstr(output, "y"));
    document = json_of("get -d explained greeting --explain --json", 0, "kiwi.get");
    explain = json_object_get(document, "explain");
    assert_string_equal(json_string_value(json_object_get(explain, "answered_by")), "memtable");
    assert_int_equal(json_integer_value(json_object_get(explain, "blocks_read")), 0);
    assert_true(json_integer_value(json_object_get(explain, "total_ns")) > 0);
    json_decref(document);
}

static void any_byte_may_stand_in_a_key(void **state)
{
    json_t *document, *row;

    (void)state;
    expect("put --create -d binary --in hex 00ff0a 0102", 0);
    expect("put -d binary --in escaped 'a\\x00b' 'v\\n'", 0);
    expect("put -d binary --in hex '' 6e6f6e65", 0);
    expect_output("get -d binary --in base64 AP8K --out hex", "0102\n");
    expect_output("get -d binary --in hex 610062 --out escaped", "v\\n\n");
    expect_output("scan -d binary", "\tnone\n\\x00\\xff\\n\t\\x01\\x02\na\\x00b\tv\\n\n");
    document = json_of("scan -d binary --json", 0, "kiwi.scan");
    assert_int_equal(json_array_size(json_object_get(document, "rows")), 3);
    row = json_array_get(json_object_get(document, "rows"), 1);
    assert_string_equal(json_string_value(json_object_get(row, "key_base64")), "AP8K");
    json_decref(document);
}

static void scans_keep_to_their_bounds(void **state)
{
    (void)state;
    expect("put --create -d rows a 1", 0);
    expect("put -d rows ab 2", 0);
    expect("put -d rows b 3", 0);
    expect("put -d rows c 4", 0);
    expect_output("scan -d rows", "a\t1\nab\t2\nb\t3\nc\t4\n");
    expect_output("scan -d rows a", "a\t1\nab\t2\n");
    expect_output("scan -d rows --from ab --to c -k", "ab\nb\n");
    expect_output("scan -d rows -r -n 2", "c\t4\nb\t3\n");
    expect_output("scan -d rows -n 0", "");
    expect_output("scan -d rows --count", "4\n");
    expect("del -d rows b", 0);
    expect("del -d rows b", 0);
    expect("get -d rows b", 1);
    expect_output("scan -d rows --count", "3\n");
}

static void environment_names_the_database(void **state)
{
    (void)state;
    expect("put --create -d named k v", 0);
    setenv("KIWI_DIR", "named", 1);
    expect_output("get k", "v");
    unsetenv("KIWI_DIR");
    expect("get k", 3);
}

static void config_is_checked_kept_and_never_silently_replaced(void **state)
{
    json_t *document, *key;
    FILE   *file;

    (void)state;
    expect("put --create -d set k v", 0);
    expect_output("config get max_memtable_size_mb -d set", "derived\n");
    expect_output("config set -d set max_memtable_size_mb 8",
                  "max_memtable_size_mb: derived -> 8 (from the next open)\n");
    expect_output("config get -d set max_memtable_size_mb", "8\n");
    expect_output("config set -d set env prod", "env: dev -> prod (from the next open)\n");
    expect_output("get -d set k", "v");
    static const char *const wrong[] = { "env test",     "max_levels 99",    "max_levels 2.5",
                                         "max_levels x", "bloom_fpr_prod 0", "bloom_fpr_prod nan",
                                         "block_size -1" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char arguments[100];
        snprintf(arguments, sizeof arguments, "config set -d set %s", wrong[i]);
        expect(arguments, 2);
    }
    document = json_of("config list -d set --json", 0, "kiwi.config");
    assert_int_equal(json_array_size(json_object_get(document, "keys")), 16);
    key = json_array_get(json_object_get(document, "keys"), 2);
    assert_int_equal(json_integer_value(json_object_get(key, "value")), 8);
    assert_string_equal(json_string_value(json_object_get(key, "origin")), "file");
    json_decref(document);
    file = fopen("set/config.json", "w");
    assert_non_null(file);
    fputs("{ \"env\": ", file);
    fclose(file);
    expect("config set -d set env dev", 3);
    expect("get -d set k", 3);
    read_all("set/config.json");
    assert_string_equal(output, "{ \"env\": ");
}

static void config_says_which_keys_act(void **state)
{
    json_t *document, *key;
    size_t  i;

    (void)state;
    expect("put --create -d keys k v", 0);
    expect("config set -d keys compaction_check_interval 0.25", 0);
    read_all("err");
    assert_non_null(strstr(output, "warning: compaction_check_interval has no effect"));
    document = json_of("config list -d keys --json", 0, "kiwi.config");
    json_array_foreach(json_object_get(document, "keys"), i, key)
    {
        const char *effect = json_string_value(json_object_get(key, "effect"));
        bool        is_idle = strstr(effect, "no effect") != NULL;

        assert_string_equal(json_string_value(json_object_get(key, "applies")),
                            is_idle ? "never" : "live");
    }
    json_decref(document);
}

static void expect_in(const char *path, const char *wanted)
{
    read_all(path);
    if (strstr(output, wanted) == NULL)
        fail_msg("no '%s' in: %s", wanted, output);
}

static void a_flag_wins_over_a_variable_over_the_file_over_the_default(void **state)
{
    json_t *document, *said;

    (void)state;
    expect("put --create -d order k v", 0);
    expect_output("config diff -d order", "");
    expect_output("config get -d order max_levels", "6\n");
    expect("config set -d order max_levels 3", 0);
    expect("config diff -d order", 0);
    expect_in("out", "max_levels                 6 -> 3 level  (file, live)");
    setenv("KIWI_MAX_LEVELS", "4", 1);
    expect_output("config get -d order max_levels", "4\n");
    expect("config set -d order max_levels 2", 0);
    expect_in("err", "a variable says something else of max_levels, and wins");
    expect_output("config get -d order max_levels --set max_levels=5", "5\n");
    expect("config explain -d order max_levels --set max_levels=5", 0);
    expect_in("out", "flag --set; variable has 4; config.json has 2");
    expect_in("out", "range     2 to 6");
    document = json_of("config explain -d order max_levels --json", 0, "kiwi.config");
    said = json_object_get(json_object_get(document, "key"), "said");
    assert_int_equal(json_integer_value(json_object_get(said, "variable")), 4);
    assert_int_equal(json_integer_value(json_object_get(said, "file")), 2);
    assert_true(json_is_null(json_object_get(said, "flag")));
    json_decref(document);
    setenv("KIWI_MAX_LEVELS", "9", 1);
    expect("get -d order k", 2);
    expect_in("err", "variable KIWI_MAX_LEVELS must be 2 to 6");
    unsetenv("KIWI_MAX_LEVELS");
    expect("get -d order k --set max_level=3", 2);
    expect_in("err", "did you mean 'max_levels'");
    expect("get -d order k --set max_levels", 2);
    expect("get -d order k --set max_levels=7", 2);
}

static void a_misspelt_variable_is_named_with_what_was_meant(void **state)
{
    (void)state;
    expect("put --create -d spelt k v", 0);
    setenv("KIWI_MAX_LEVEL", "4", 1);
    setenv("KIWI_SEED", "4", 1);
    expect_output("get -d spelt k", "v");
    unsetenv("KIWI_MAX_LEVEL");
    unsetenv("KIWI_SEED");
    read_all("err");
    assert_string_equal(output, "kiwidb get: variable KIWI_MAX_LEVEL has no effect; did you mean "
                                "KIWI_MAX_LEVELS?\n");
}

/* Each key is set to a value that the engine must take, and the database works with all of them. */
static void a_database_works_with_every_key_at_its_least_and_most(void **state)
{
    json_t *document, *key, *file = json_object();
    size_t  i;

    (void)state;
    expect("put --create -d ends a 1", 0);
    document = json_of("config list -d ends --json", 0, "kiwi.config");
    for (int is_most = 0; is_most < 2; is_most++) {
        json_array_foreach(json_object_get(document, "keys"), i, key)
        {
            double value = json_number_value(json_object_get(key, is_most ? "maximum" : "minimum"));

            if (json_object_get(key, "minimum") != NULL)
                json_object_set_new(file, json_string_value(json_object_get(key, "name")),
                                    value == (double)(json_int_t)value
                                        ? json_integer((json_int_t)value) : json_real(value));
        }
        assert_int_equal(json_dump_file(file, "ends/config.json", 0), 0);
        expect("put -d ends b 2 --set env=dev", 0);
        expect("put -d ends c 3 --set env=prod", 0);
        expect_output("scan -d ends --count", "3\n");
    }
    json_decref(file);
    json_decref(document);
}

static void a_key_too_long_is_named_by_its_beginning(void **state)
{
    (void)state;
    assert_int_equal(system("key=$(head -c 65536 /dev/zero | tr '\\0' k); "
                            KIWIDB " put --create -d long $key v >out 2>err; test $? -eq 2"),
                     0);
    read_all("err");
    assert_non_null(strstr(output, "kkk...: too large: a key of 65536 bytes; the limit is 65535"));
    assert_true(strlen(output) < 400);
}

static void no_database_is_made_among_other_files(void **state)
{
    (void)state;
    assert_int_equal(system("mkdir -p foreign/.hidden foreign/lost+found"), 0);
    assert_int_equal(system("echo mine >foreign/notes.txt"), 0);
    expect("put --create -d foreign k v", 2);
    read_all("err");
    assert_non_null(strstr(output, "notes.txt"));
    assert_int_equal(system("test \"$(echo $(ls -A foreign))\" = '.hidden lost+found notes.txt'"),
                     0);
    assert_int_equal(unlink("foreign/notes.txt"), 0);
    expect("put --create -d foreign k v", 0);
    assert_int_equal(system("echo mine >foreign/notes.txt"), 0);
    expect("put --create -d foreign k v", 0); /* there is a database now */
}

static void stat_and_version_speak_json(void **state)
{
    json_t *document;

    (void)state;
    expect("put --create -d st k v", 0);
    document = json_of("stat -d st --json", 0, "kiwi.stat");
    assert_true(json_is_array(json_object_get(document, "levels")));
    json_decref(document);
    expect("stat -d st", 0);
    document = json_of("version --json", 0, "kiwi.version");
    assert_non_null(json_object_get(document, "program_version"));
    assert_true(strchr(json_string_value(json_object_get(document, "liburing")), '.') != NULL);
    assert_true(json_is_boolean(json_object_get(document, "has_io_uring")));
    assert_true(json_string_length(json_object_get(document, "io_uring")) > 8);
    assert_true(json_string_length(json_object_get(document, "block_search")) >= 4);
    json_decref(document);
    expect("--version", 0);
    assert_non_null(strstr(output, "liburing  "));
    assert_non_null(strstr(output, "search    "));
}

static void verify_tells_damage_by_file_and_keys(void **state)
{
    json_t *document, *finding;

    (void)state;
    expect("put --create -d vd 'key one' v", 0);
    expect("bench " WORKLOADS_FOLDER "/workloada -q --records 2000 --ops 10 --threads 1"
           " --value-bytes 100 -p fieldcount=1 --memory 16MiB --io-backend posix --keep --dir vb"
           " --results vr", 0);
    expect("repair vb/data --into tables", 0); /* all of it in tables, for sure */
    expect("verify vd", 0);
    assert_non_null(strstr(output, "0 damaged"));
    document = json_of("verify -d vd --json", 0, "kiwi.verify");
    assert_int_equal(json_integer_value(json_object_get(document, "damages")), 0);
    assert_true(json_is_true(json_object_get(document, "is_complete")));
    assert_true(json_integer_value(json_object_get(document, "log_records")) == 1);
    json_decref(document);
    assert_int_equal(system("echo stray > vd/shard-00/notes"), 0);
    expect("verify vd", 0);
    assert_non_null(strstr(output, "notes: a file that is none of the database's"));
    expect("verify vd --quiet", 0);
    assert_null(strstr(output, "none of the database's"));
    expect("verify nowhere", 3);
    expect("verify vd -d vd", 2);
    expect("verify vd --io-backend other", 2);
    assert_int_equal(system("flock vd/LOCK '" KIWIDB "' verify vd > out 2> err") >> 8, 5);
    assert_int_equal(system("for file in tables/shard-00/t-*; do printf xxxx | dd of=$file bs=1"
                            " seek=600 conv=notrunc 2> /dev/null; done"), 0);
    document = json_of("verify tables --json", 4, "kiwi.verify");
    assert_true(json_integer_value(json_object_get(document, "damages")) >= 1);
    finding = json_array_get(json_object_get(document, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(finding, "kind")), "damage");
    assert_non_null(strstr(json_string_value(json_object_get(finding, "file")), "/shard-00/t-"));
    assert_int_equal(json_integer_value(json_object_get(finding, "offset")), 0);
    assert_true(json_integer_value(json_object_get(finding, "bytes")) >= 512);
    assert_non_null(json_object_get(finding, "keys_below"));
    json_decref(document);
    expect("verify tables", 4);
    assert_non_null(strstr(output, "keys from '"));
    expect("scan -d tables", 4);
    read_all("err");
    assert_non_null(strstr(output, "kiwidb scan: error: shard 0 of tables/shard-00: a read has met"
                                   " damage: tables/shard-00/t-"));
    expect("repair tables", 2);
    document = json_of("repair tables --into saved --dry-run --json", 4, "kiwi.repair");
    assert_true(json_integer_value(json_object_get(document, "written_entries")) > 1000);
    json_decref(document);
    assert_int_equal(access("saved", F_OK), -1);
    document = json_of("repair tables --into saved --json", 4, "kiwi.repair");
    assert_true(json_integer_value(json_object_get(document, "kept_keys")) > 1000);
    assert_true(json_integer_value(json_object_get(document, "kept_keys")) < 2000);
    json_decref(document);
    expect("repair tables --into saved", 2);
    expect("verify saved", 0);
    expect("verify tables", 4);
    expect("repair vd --into whole", 0);
    expect_output("get -d whole 'key one'", "v");
    assert_int_equal(system("rm vd/IDENTITY"), 0);
    expect("verify vd", 4);
    assert_non_null(strstr(output, "IDENTITY is missing"));
}

static void bench_runs_on_the_engine_and_checks_itself(void **state)
{
    static const char *const clients[] = { "attached", "managed", "blocking" };

    (void)state;
    for (uint32_t i = 0; i < sweep_of(3, 1); i++) {
        char    arguments[400];
        json_t *document, *correctness;

        snprintf(arguments, sizeof arguments,
                 "bench --preset quick --records 3k --ops 4k --memory 16MiB --client %s --dir bd "
                 "--results br --no-probe --json",
                 clients[i]);
        document = json_of(arguments, 0, "kiwi.bench.run");
        correctness = json_object_get(document, "correctness");
        assert_true(json_integer_value(json_object_get(correctness, "values_read")) > 10000);
        assert_true(json_integer_value(json_object_get(correctness, "sampled_records")) > 1000);
        assert_int_equal(json_integer_value(json_object_get(correctness, "values_wrong")), 0);
        assert_int_equal(json_array_size(json_object_get(document, "phases")), 8);
        assert_true(json_array_size(json_object_get(
                        json_array_get(json_object_get(document, "phases"), 1), "levels"))
                    >= 5);
        json_decref(document);
        assert_int_equal(access("bd", F_OK), -1);
    }
}

/* Starts a bench that would take hours, and ends it. */
static int bench_signalled(int number, const char *results)
{
    pid_t child = fork();
    int   status;

    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("out", "w", stdout) == NULL || freopen("err", "w", stderr) == NULL)
            _exit(99);
        execl(KIWIDB, KIWIDB, "bench", WORKLOADS_FOLDER "/workloadc", "--engine", "null", "--ops",
              "900G", "--no-probe", "--warm-up", "0", "--results", results, "--dir", "sig", "-q",
              (char *)NULL);
        _exit(98);
    }
    /* The load has ended when its table is there; then the run is under way. */
    do {
        assert_int_equal(waitpid(child, &status, WNOHANG), 0);
        read_all("out");
    } while (strstr(output, "load:") == NULL);
    kill(child, number);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void signals_leave_a_partial_report(void **state)
{
    (void)state;
    FILE *file = fopen("out", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(bench_signalled(SIGINT, "sig1"), 130);
    read_all("out");
    assert_non_null(strstr(output, "PARTIAL"));
    file = fopen("out", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(bench_signalled(SIGTERM, "sig2"), 143);
    assert_int_equal(system("grep -q '\"verdict\": \"partial\"' sig1/*/run.json sig2/*/run.json"),
                     0);
}

static void more_tables_than_the_soft_limit_of_files_are_no_trouble(void **state)
{
    (void)state;
    if (sweep_of(1, 0) == 0)
        return; /* what it looks for is the limit, which a sanitizer does not change */
    assert_int_equal(system("ulimit -Sn 48; " KIWIDB " bench " WORKLOADS_FOLDER
                            "/workloada --records 40k --ops 1k --memory 8MiB --shards 2 --threads 2"
                            " --durability memory --no-probe --dir many --results mr -q >out 2>&1"),
                     0);
}

/* No signal ends it: what does not fit is told, as on a full disk. */
static void a_limited_file_size_is_told_and_ends_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(system("for size in 8 9 104 105 4000 4001; do rm -rf small; (ulimit -f $size; "
                            KIWIDB " put --create -d small key value >out 2>&1); code=$?;"
                            " test $code -eq 3 && grep -Eq 'small/.*(File too large|size of files)'"
                            " out || exit 1;"
                            " done"),
                     0);
    expect("put --create -d small key value", 0);
    expect_output("get -d small key", "value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_goes_to_standard_output_within_eighty_columns),
        cmocka_unit_test(wrong_usage_is_exit_two_with_a_pointer),
        cmocka_unit_test(missing_database_is_exit_three),
        cmocka_unit_test(values_come_back_byte_for_byte),
        cmocka_unit_test(missing_key_and_empty_value_differ),
        cmocka_unit_test(a_get_explains_what_it_touched),
        cmocka_unit_test(any_byte_may_stand_in_a_key),
        cmocka_unit_test(scans_keep_to_their_bounds),
        cmocka_unit_test(environment_names_the_database),
        cmocka_unit_test(config_is_checked_kept_and_never_silently_replaced),
        cmocka_unit_test(config_says_which_keys_act),
        cmocka_unit_test(a_flag_wins_over_a_variable_over_the_file_over_the_default),
        cmocka_unit_test(a_misspelt_variable_is_named_with_what_was_meant),
        cmocka_unit_test(a_database_works_with_every_key_at_its_least_and_most),
        cmocka_unit_test(a_key_too_long_is_named_by_its_beginning),
        cmocka_unit_test(no_database_is_made_among_other_files),
        cmocka_unit_test(stat_and_version_speak_json),
        cmocka_unit_test(verify_tells_damage_by_file_and_keys),
        cmocka_unit_test(bench_runs_on_the_engine_and_checks_itself),
        cmocka_unit_test(signals_leave_a_partial_report),
        cmocka_unit_test(a_limited_file_size_is_told_and_ends_nothing_else),
        cmocka_unit_test(more_tables_than_the_soft_limit_of_files_are_no_trouble),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
