/* Interrupts, memory above 4 GiB, and the ways to switch the machine off. */
#include "payload.h"

#define KERNEL_CODE 0x10
#define GATE_PRESENT_INTERRUPT 0x8e00ull

#define APIC_SPURIOUS 0xfee000f0
#define APIC_ENABLE 0x1ff

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK 0xa1

/* ACPI sleep registers: cnvm and Cloud Hypervisor (S5 type and enable in one byte), then QEMU's q35 (PM1a control). */
#define SLEEP_PORT 0x600
#define SLEEP_S5 0x34
#define PM1A_CONTROL_PORT 0x604
#define PM1A_S5 0x2000
#define KEYBOARD_PORT 0x64
#define KEYBOARD_RESET 0xfe

static void set_gate(int vector, u64 handler)
{
    idt[2 * vector] = (handler & 0xffff) | KERNEL_CODE << 16 | GATE_PRESENT_INTERRUPT << 32 | (handler & 0xffff0000) << 32;
    idt[2 * vector + 1] = handler >> 32;
}

void set_up_interrupts(void)
{
    for (int vector = 0; vector < 32; vector++)
        set_gate(vector, (u64)exception_stubs + 16 * vector);
}

void exception_report(void)
{
    put_text("payload: exception ");
    report("vector", exception_vector);
    report("error", exception_error);
    put_text("rip=");
    put_hex(exception_rip);
    put_text(" cr2=");
    put_hex(exception_cr2);
    put_char('\n');
    end_machine();
}

void end_machine(void)
{
    const char *exit = option_text("exit");

    if (exit) {
        u16 port = (u16)parse_number(&exit);
        u8 value = *exit == ':' ? (exit++, (u8)parse_number(&exit)) : 0;

        out8(port, value);
    }
    out8(SLEEP_PORT, SLEEP_S5);
    out16(PM1A_CONTROL_PORT, PM1A_S5);
    out8(KEYBOARD_PORT, KEYBOARD_RESET);

    /* Nobody listened: a triple fault. */
    for (int i = 0; i < 512; i++)
        idt[i] = 0;
    asm volatile("ud2");
    for (;;)
        ;
}

void run_interrupts(void)
{
    u64 count = option("irq", 0), self = has_option("self");
    u8 vector = (u8)option("vector", 0x40);

    set_gate(vector, (u64)interrupt_stub);
    out8(PIC_MASTER_MASK, 0xff);
    out8(PIC_SLAVE_MASK, 0xff);
    MMIO32(APIC_SPURIOUS) = APIC_ENABLE;
    asm volatile("ud2" : : "a"(SUPERVISOR_STI) : "memory");
    put_text("payload: irq ready\n");

    u64 start = cycles();

    if (self) {
        for (u64 i = 0; i < count; i++) {
            MMIO32(0xfee00300) = 1 << 18 | 1 << 14 | vector; /* to itself, fixed */
            while (interrupt_count == i)
                barrier();
        }
    } else {
        while (interrupt_count < count)
            barrier();
    }

    u64 end = cycles();

    put_text("payload: ");
    report("irq", interrupt_count);
    report("cycles", end - start);
    put_char('\n');
}

/* Page tables for what lies above 4 GiB, 2 MiB at a time; not-present entries are not cached, so nothing has to be flushed. */
void map_range(u64 address, u64 length)
{
    static u64 pool[16][512] __attribute__((aligned(4096)));
    static u32 used;

    for (u64 at = address & ~0x1ffffful; at < address + length; at += 0x200000) {
        u64 *table = pml4;

        for (int shift = 39; shift >= 30; shift -= 9) {
            u64 *entry = &table[at >> shift & 511];

            if (!*entry) {
                if (used == 16) {
                    put_text("payload: out of page tables\n");
                    end_machine();
                }
                *entry = (u64)pool[used++] | 7;
            }
            table = (u64 *)(*entry & ~0xffful);
        }
        table[at >> 21 & 511] |= at | 0x87;
    }
}
