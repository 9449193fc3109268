/* Counts what a program asks of a core's caches, as a plugin of qemu's user-mode emulation.
 *
 *     qemu-aarch64 -plugin plugin.so,l1d=32768:2:64,l1i=49152:3:64,l2=1048576:16:64,out=counts.json PROGRAM
 *
 * A cache is BYTES:WAYS:LINE. The first level has one cache for data and one for instructions; what misses there asks
 * the second level, which both share. Every cache replaces its least recently used line and takes in a line that is
 * written as one that is read. There is no prefetcher, no TLB and no coherence: the counts are of lines asked for, and
 * the same program gives the same counts. When the program ends, one line of JSON is written to the file `out`.
 *
 * Only the declarations below are needed of qemu's plugin interface, so that neither its headers nor its sources have
 * to be at hand. PLUGIN_API is the version of the interface that qemu is told; snsearch/counting sets it by
 * qemu's own version.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif

/* What is used of qemu's interface. */

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

struct plugin_host {
    const char *target;
    struct {
        int least, current;
    } api;
    bool whole_system;
};

enum { NO_REGISTERS = 0 };
enum { READS_AND_WRITES = 3 };

void qemu_plugin_register_vcpu_init_cb(plugin_id, void (*)(plugin_id, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int flags, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, void (*)(unsigned, uint32_t, uint64_t, void *),
                                      int flags, int which, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
unsigned qemu_plugin_mem_size_shift(uint32_t);
bool qemu_plugin_mem_is_store(uint32_t);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = PLUGIN_API;

/* Caches. */

struct cache {
    uint64_t *lines; /* of each set its ways, the most recently used first; a line's number plus one, 0 where empty */
    uint64_t sets, ways;
    unsigned line_shift;
    uint64_t accesses, misses;
};

static struct cache data_cache, code_cache, shared_cache;
static uint64_t instructions, loads, stores, processors;
static uint64_t line_fetched = UINT64_MAX; /* where the last instruction came from: asking again would be a hit */
static const char *out_path;

static bool is_power_of_two(uint64_t value) { return value && !(value & (value - 1)); }

/* The cache that BYTES:WAYS:LINE describes; false where that is none. */
static bool make_cache(struct cache *cache, const char *text)
{
    uint64_t bytes, ways, line;
    char rest;
    if (sscanf(text, "%" SCNu64 ":%" SCNu64 ":%" SCNu64 "%c", &bytes, &ways, &line, &rest) != 3)
        return false;
    if (!ways || ways > 1024 || !is_power_of_two(line) || line < 16 || line > 4096 || bytes > (1u << 30))
        return false;
    if (bytes % (ways * line) || !is_power_of_two(bytes / (ways * line)))
        return false;
    cache->sets = bytes / (ways * line);
    cache->ways = ways;
    cache->line_shift = (unsigned)__builtin_ctzll(line);
    cache->lines = calloc(cache->sets * ways, sizeof *cache->lines);
    return cache->lines != NULL;
}

/* Whether the cache holds that line; afterwards it does, as the most recently used of its set. */
static inline bool holds(struct cache *cache, uint64_t line)
{
    uint64_t *set = cache->lines + (line & (cache->sets - 1)) * cache->ways;
    uint64_t wanted = line + 1, moved = set[0];
    cache->accesses++;
    if (moved == wanted)
        return true;
    uint64_t way = 1;
    for (; way < cache->ways; way++) {
        uint64_t next = set[way];
        set[way] = moved;
        moved = next;
        if (moved == wanted)
            break;
    }
    set[0] = wanted;
    if (way < cache->ways)
        return true;
    cache->misses++;
    return false;
}

static inline void ask(struct cache *first, uint64_t line)
{
    if (!holds(first, line))
        holds(&shared_cache, (line << first->line_shift) >> shared_cache.line_shift);
}

/* What runs with the program. */

struct block {
    uint64_t first_line, last_line, instructions;
};

static void on_block(unsigned processor, void *data)
{
    const struct block *block = data;
    (void)processor;
    instructions += block->instructions;
    for (uint64_t line = block->first_line; line <= block->last_line; line++)
        if (line != line_fetched) {
            line_fetched = line;
            ask(&code_cache, line);
        }
}

static void on_access(unsigned processor, uint32_t access, uint64_t address, void *data)
{
    uint64_t bytes = UINT64_C(1) << qemu_plugin_mem_size_shift(access);
    uint64_t last = (address + bytes - 1) >> data_cache.line_shift;
    (void)processor;
    (void)data;
    if (qemu_plugin_mem_is_store(access))
        stores++;
    else
        loads++;
    for (uint64_t line = address >> data_cache.line_shift; line <= last; line++)
        ask(&data_cache, line);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *translated)
{
    size_t count = qemu_plugin_tb_n_insns(translated);
    struct block *block = malloc(sizeof *block); /* lives as long as the translation may: to the end */
    (void)id;
    if (!block)
        abort(); /* less would be counted than runs */
    const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(translated, count - 1);
    uint64_t begin = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(translated, 0));
    uint64_t end = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last) - 1;
    block->first_line = begin >> code_cache.line_shift;
    block->last_line = end >> code_cache.line_shift;
    block->instructions = count;
    qemu_plugin_register_vcpu_tb_exec_cb(translated, on_block, NO_REGISTERS, block);
    for (size_t index = 0; index < count; index++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(translated, index), on_access, NO_REGISTERS,
                                         READS_AND_WRITES, NULL);
}

static void on_processor(plugin_id id, unsigned processor)
{
    (void)id;
    (void)processor;
    processors++;
}

static void on_end(plugin_id id, void *data)
{
    FILE *file = fopen(out_path, "w");
    (void)id;
    (void)data;
    if (!file) {
        perror(out_path);
        return;
    }
    fprintf(file,
            "{\"schema\": 1, \"instructions\": %" PRIu64 ", \"loads\": %" PRIu64 ", \"stores\": %" PRIu64
            ", \"l1d_accesses\": %" PRIu64 ", \"l1d_misses\": %" PRIu64 ", \"l1i_accesses\": %" PRIu64
            ", \"l1i_misses\": %" PRIu64 ", \"l2_accesses\": %" PRIu64 ", \"l2_misses\": %" PRIu64
            ", \"threads\": %" PRIu64 "}\n",
            instructions, loads, stores, data_cache.accesses, data_cache.misses, code_cache.accesses,
            code_cache.misses, shared_cache.accesses, shared_cache.misses, processors);
    fclose(file);
}

EXPORTED int qemu_plugin_install(plugin_id id, const struct plugin_host *host, int count, char **arguments)
{
    static const struct {
        const char *name;
        struct cache *cache;
    } caches[] = {{"l1d=", &data_cache}, {"l1i=", &code_cache}, {"l2=", &shared_cache}};

    if (host->whole_system) {
        fprintf(stderr, "counting: this plugin counts programs, not whole systems\n");
        return -1;
    }
    for (int index = 0; index < count; index++) {
        const char *argument = arguments[index];
        bool known = false;
        for (size_t at = 0; at < sizeof caches / sizeof *caches; at++)
            if (!strncmp(argument, caches[at].name, strlen(caches[at].name)))
                known = make_cache(caches[at].cache, argument + strlen(caches[at].name));
        if (!strncmp(argument, "out=", 4) && argument[4]) {
            out_path = argument + 4;
            known = true;
        }
        if (!known) {
            fprintf(stderr,
                    "counting: \"%s\" is not understood; expected l1d, l1i or l2 as BYTES:WAYS:LINE with a power "
                    "of two of sets, or out=FILE\n",
                    argument);
            return -1;
        }
    }
    if (!data_cache.lines || !code_cache.lines || !shared_cache.lines || !out_path) {
        fprintf(stderr, "counting: expected all of l1d, l1i, l2 and out\n");
        return -1;
    }
    qemu_plugin_register_vcpu_init_cb(id, on_processor);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
