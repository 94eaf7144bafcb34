/* A QEMU plugin (user emulation of AArch64, plugin interface version 1, QEMU 7.2 to 8.x) that counts instructions exactly.
 *
 * The guest marks a region with sched_get_priority_max(MARK + k), a system call that fails harmlessly anywhere: k = 0
 * starts counting from zero, k > 0 writes what was counted to OUT.k and stops. Inside a region every clock_gettime is a
 * lap: the profiler of a plan reads the clock once before the first step and once after each, so laps are steps.
 * Output: "laps N N …" (instructions so far, at each) and, a line a block, "ADDRESS COUNT CODE" (code in hex words).
 * A block is counted when entered and system calls end blocks, so counts are exact; one guest thread only, since the
 * inline additions are not atomic.   Build: gcc -O2 -shared -fPIC count.c   Argument: out=PATH */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 0x54485700u /* "THW" and the region's number */
enum { SYS_CLOCK_GETTIME = 113, SYS_SCHED_GET_PRIORITY_MAX = 125 }; /* asm-generic numbers, AArch64's */
enum { MOST_LAPS = 1 << 16, INLINE_ADD_U64 = 0 };

/* The part of qemu-plugin.h that is used (Debian does not package the header). */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void translate_callback(plugin_id, struct qemu_plugin_tb *);
typedef void syscall_callback(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                              uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translate_callback *);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, syscall_callback *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

struct block { /* one translation; the same code translated again makes another */
    struct block *next;
    uint64_t address, count;
    size_t length;
    uint32_t code[];
};

static struct block *blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `blocks`; counts are added by translated code */
static const char *out = "count.out";
static bool counting;
static uint64_t laps[MOST_LAPS];
static size_t lap_count;

static void on_translate(plugin_id id, struct qemu_plugin_tb *tb) {
    (void)id;
    size_t length = qemu_plugin_tb_n_insns(tb);
    struct block *block = malloc(sizeof *block + length * sizeof block->code[0]);
    if (!block) abort();
    block->address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->count = 0;
    block->length = length;
    for (size_t i = 0; i < length; i++) {
        memcpy(&block->code[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof block->code[i]);
    }
    pthread_mutex_lock(&lock);
    block->next = blocks;
    blocks = block;
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &block->count, 1);
}

static void start(void) {
    for (struct block *block = blocks; block; block = block->next) block->count = 0;
    lap_count = 0;
    counting = true;
}

static void lap(void) {
    uint64_t instructions = 0;
    for (struct block *block = blocks; block; block = block->next) instructions += block->count * block->length;
    if (lap_count < MOST_LAPS) laps[lap_count++] = instructions;
}

static void write_region(unsigned number) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%u", out, number);
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        exit(1);
    }
    fprintf(file, "laps");
    for (size_t i = 0; i < lap_count; i++) fprintf(file, " %" PRIu64, laps[i]);
    fputc('\n', file);
    for (struct block *block = blocks; block; block = block->next) {
        if (block->count == 0) continue;
        fprintf(file, "%" PRIx64 " %" PRIu64 " ", block->address, block->count);
        for (size_t i = 0; i < block->length; i++) fprintf(file, "%08" PRIx32, block->code[i]);
        fputc('\n', file);
    }
    fclose(file);
    counting = false;
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                       uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    pthread_mutex_lock(&lock);
    if (number == SYS_CLOCK_GETTIME && counting) lap();
    if (number == SYS_SCHED_GET_PRIORITY_MAX && (a1 & ~UINT64_C(0xff)) == MARK) {
        if ((a1 & 0xff) == 0) {
            start();
        } else {
            write_region(a1 & 0xff);
        }
    }
    pthread_mutex_unlock(&lock);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) out = strdup(argv[i] + 4);
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
