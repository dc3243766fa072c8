/*
 * The least that can run a guest on /dev/kvm: the floor that exit figures are compared with.
 *
 *   kvm_loop PAYLOAD COMMAND-LINE [MIB]
 *   kvm_loop --tsc-khz                     prints the frequency of the guest's time stamp counter
 *
 * Loads an ELF file at its physical addresses, enters it by the PVH boot protocol and handles its exits in one loop. Bytes
 * written to the serial port (0x3f8) or the debug console (0xe9) go to standard output at once; every other access is answered
 * and forgotten. Ends when the guest resets itself or writes to the debug-exit port (0xf4).
 *
 * The local APIC is in the kernel and nothing else is, as in cnvm, so that KVM's own share of an exit is the same.
 */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COM1 = 0x3f8,
    COM1_LINE_STATUS = 0x3fd,
    LINE_STATUS_IDLE = 0x60,
    DEBUG_CONSOLE = 0xe9,
    DEBUG_EXIT = 0xf4,
    PVH_NOTE = 18,              /* XEN_ELFNOTE_PHYS32_ENTRY */
    PVH_MAGIC = 0x336ec578,
    START_INFO = 0x6000,
    MEMORY_MAP = 0x6800,
    COMMAND_LINE = 0x7000,
    COMMAND_LINE_SIZE = 0x1000,
    IOAPIC_PINS = 24,
    CPUID_ENTRIES = 256,
};

/* Xen public/arch-x86/hvm/start_info.h, version 1. */
struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line, rsdp, memory_map;
    uint32_t memory_map_entries, reserved;
};

struct memory_map_entry {
    uint64_t address, size;
    uint32_t type, reserved;
};

struct payload {
    uint8_t *bytes;
    size_t size;
};

static struct payload read_payload(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        err(1, "%s", path);
    struct payload p = { mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0), st.st_size };
    if (p.bytes == MAP_FAILED)
        err(1, "%s", path);
    close(fd);
    if (p.size < sizeof(Elf32_Ehdr) || memcmp(p.bytes, ELFMAG, SELFMAG) != 0)
        errx(1, "%s: not an ELF file", path);
    return p;
}

/* One program header in the width of its file. */
struct segment {
    uint32_t type;
    uint64_t offset, address, file_size, memory_size;
};

static unsigned segment_count(const struct payload *p)
{
    return p->bytes[EI_CLASS] == ELFCLASS64 ? ((Elf64_Ehdr *)p->bytes)->e_phnum : ((Elf32_Ehdr *)p->bytes)->e_phnum;
}

static struct segment segment_at(const struct payload *p, unsigned i)
{
    struct segment s;
    if (p->bytes[EI_CLASS] == ELFCLASS64) {
        Elf64_Phdr *h = (Elf64_Phdr *)(p->bytes + ((Elf64_Ehdr *)p->bytes)->e_phoff) + i;
        s = (struct segment){ h->p_type, h->p_offset, h->p_paddr, h->p_filesz, h->p_memsz };
    } else {
        Elf32_Phdr *h = (Elf32_Phdr *)(p->bytes + ((Elf32_Ehdr *)p->bytes)->e_phoff) + i;
        s = (struct segment){ h->p_type, h->p_offset, h->p_paddr, h->p_filesz, h->p_memsz };
    }
    if (s.offset > p->size || s.file_size > p->size - s.offset)
        errx(1, "program header %u reaches beyond the file", i);
    return s;
}

static uint32_t find_pvh_entry(const struct payload *p)
{
    for (unsigned i = 0; i < segment_count(p); i++) {
        struct segment s = segment_at(p, i);
        uint64_t at = s.offset, end = s.offset + s.file_size;
        while (s.type == PT_NOTE && end - at >= sizeof(Elf32_Nhdr)) {
            Elf32_Nhdr *n = (Elf32_Nhdr *)(p->bytes + at);
            uint64_t name = at + sizeof *n;
            uint64_t value = name + ((n->n_namesz + 3) & ~3u);
            if (value + n->n_descsz > end)
                break;
            if (n->n_type == PVH_NOTE && n->n_namesz == 4 && memcmp(p->bytes + name, "Xen", 4) == 0)
                return *(uint32_t *)(p->bytes + value);
            at = value + ((n->n_descsz + 3) & ~3u);
        }
    }
    errx(1, "the payload has no PVH entry");
}

static void load(const struct payload *p, uint8_t *ram, uint64_t size, const char *command_line)
{
    for (unsigned i = 0; i < segment_count(p); i++) {
        struct segment s = segment_at(p, i);
        if (s.type != PT_LOAD)
            continue;
        if (s.file_size > s.memory_size || s.address > size || s.memory_size > size - s.address)
            errx(1, "program header %u does not fit into memory", i);
        memcpy(ram + s.address, p->bytes + s.offset, s.file_size);
    }
    if (strlen(command_line) >= COMMAND_LINE_SIZE)
        errx(1, "the command line is too long");
    strcpy((char *)ram + COMMAND_LINE, command_line);
    *(struct memory_map_entry *)(ram + MEMORY_MAP) = (struct memory_map_entry){ .size = size, .type = 1 };
    *(struct start_info *)(ram + START_INFO) = (struct start_info){
        .magic = PVH_MAGIC, .version = 1, .command_line = COMMAND_LINE, .memory_map = MEMORY_MAP, .memory_map_entries = 1,
    };
}

static void check(int result, const char *what)
{
    if (result < 0)
        err(1, "%s", what);
}

/* 32-bit protected mode with flat segments and no paging; EBX holds the start info. */
static void enter_at(int vcpu, uint32_t entry)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = entry, .rbx = START_INFO, .rflags = 2 };
    struct kvm_segment data = { .limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
    struct kvm_segment code = data, task = { .limit = 0x67, .selector = 0x18, .type = 11, .present = 1 };
    code.selector = 8;
    code.type = 11;
    check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = task;
    sregs.cr0 = 0x11;
    sregs.cr4 = 0;
    sregs.efer = 0;
    check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    check(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

static void show_supported_cpuid(int kvm, int vcpu)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + CPUID_ENTRIES * sizeof cpuid->entries[0]);
    if (cpuid == NULL)
        err(1, "CPUID");
    cpuid->nent = CPUID_ENTRIES;
    check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
    check(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
    free(cpuid);
}

/* Returns nonzero when the guest wants to end. */
static int handle_port(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    size_t size = (size_t)run->io.size * run->io.count;
    if (run->io.direction == KVM_EXIT_IO_IN) {
        memset(data, run->io.port == COM1_LINE_STATUS ? LINE_STATUS_IDLE : 0xff, size);
        return 0;
    }
    switch (run->io.port) {
    case COM1:
    case DEBUG_CONSOLE:
        if (write(STDOUT_FILENO, data, size) < 0)
            err(1, "standard output");
        return 0;
    case DEBUG_EXIT:
        return 1;
    default:
        return 0;
    }
}

static int run_until_end(int vcpu, struct kvm_run *run)
{
    for (;;) {
        check(ioctl(vcpu, KVM_RUN, NULL), "KVM_RUN");
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            if (handle_port(run))
                return 0;
            break;
        case KVM_EXIT_MMIO:
            if (!run->mmio.is_write)
                memset(run->mmio.data, 0xff, run->mmio.len);
            break;
        case KVM_EXIT_IOAPIC_EOI:
            break;
        case KVM_EXIT_SHUTDOWN:
        case KVM_EXIT_SYSTEM_EVENT:
            return 0;
        default:
            errx(1, "unexpected exit %u", run->exit_reason);
        }
    }
}

static int print_tsc_khz(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    check(kvm, "/dev/kvm");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    check(vm, "KVM_CREATE_VM");
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    check(vcpu, "KVM_CREATE_VCPU");
    int khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
    check(khz, "KVM_GET_TSC_KHZ");
    printf("%d\n", khz);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--tsc-khz") == 0)
        return print_tsc_khz();
    if (argc < 3 || argc > 4)
        errx(2, "usage: kvm_loop PAYLOAD COMMAND-LINE [MIB]");
    uint64_t size = (argc == 4 ? strtoull(argv[3], NULL, 10) : 128) << 20;
    struct payload payload = read_payload(argv[1]);
    uint32_t entry = find_pvh_entry(&payload);

    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    check(kvm, "/dev/kvm");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    check(vm, "KVM_CREATE_VM");
    check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
    struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
    check(ioctl(vm, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");

    uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED)
        err(1, "guest memory");
    load(&payload, ram, size, argv[2]);
    struct kvm_userspace_memory_region region = { .memory_size = size, .userspace_addr = (uintptr_t)ram };
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");

    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    check(vcpu, "KVM_CREATE_VCPU");
    int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    check(run_size, "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        err(1, "kvm_run");
    show_supported_cpuid(kvm, vcpu);
    enter_at(vcpu, entry);
    return run_until_end(vcpu, run);
}
