/* Stands in for qemu: gives the counting plugin a trace of standard input and calls its end.
 *
 *     r ADDRESS SHIFT   reads 2^SHIFT bytes         w ADDRESS SHIFT   writes them
 *     b ADDRESS COUNT   runs COUNT instructions of four bytes from ADDRESS
 */

#include "plugin.c"

static void (*translated)(plugin_id, struct qemu_plugin_tb *);
static void (*executed)(unsigned, void *);
static void *executed_data;
static void (*accessed)(unsigned, uint32_t, uint64_t, void *);
static void (*ended)(plugin_id, void *);
static void (*started)(plugin_id, unsigned);
static uint64_t block_address, block_count;

void qemu_plugin_register_vcpu_init_cb(plugin_id id, void (*call)(plugin_id, unsigned)) { started = call; }
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct qemu_plugin_tb *))
{
    translated = call;
}
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*call)(unsigned, void *), int flags,
                                          void *data)
{
    executed = call;
    executed_data = data;
}
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, void (*call)(unsigned, uint32_t, uint64_t, void *),
                                      int flags, int which, void *data)
{
    accessed = call;
}
void qemu_plugin_register_atexit_cb(plugin_id id, void (*call)(plugin_id, void *), void *data) { ended = call; }
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb) { return block_count; }
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index)
{
    return (struct qemu_plugin_insn *)(block_address + 4 * index);
}
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn) { return (uint64_t)insn; }
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn) { return 4; }
unsigned qemu_plugin_mem_size_shift(uint32_t access) { return access & 15; }
bool qemu_plugin_mem_is_store(uint32_t access) { return access >> 4; }

int main(int count, char **arguments)
{
    struct plugin_host host = {.target = "aarch64", .api = {1, 1}};
    char kind;
    uint64_t address, number;
    if (qemu_plugin_install(1, &host, count - 1, arguments + 1))
        return 1;
    started(1, 0);
    while (scanf(" %c %" SCNu64 " %" SCNu64, &kind, &address, &number) == 3) {
        if (kind == 'b') {
            block_address = address;
            block_count = number;
            translated(1, NULL);
            executed(0, executed_data);
        } else {
            accessed(0, (uint32_t)(number | (kind == 'w') << 4), address, NULL);
        }
    }
    ended(1, NULL);
    return 0;
}
