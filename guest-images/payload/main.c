/* A guest without a kernel: tests and benchmarks of what a VMM does, on any KVM. */
#include "payload.h"

void payload_main(void)
{
    set_up_interrupts();
    find_options();
    if (text_is(option_text("console"), "e9"))
        use_console(0xe9);
    if (has_option("exits"))
        run_exits();
    if (has_option("mmio"))
        run_mmio();
    if (has_option("dirty"))
        run_dirty();
    if (has_option("irq"))
        run_interrupts();
    if (has_option("fpu"))
        run_vectors();
    if (has_option("blk"))
        run_block();
    if (has_option("beat")) {
        u16 port = (u16)option("beat", 0x5e0);

        put_text("payload: beat\n");
        for (;;)
            out8(port, 0);
    }
    if (has_option("spin")) {
        put_text("payload: spin\n");
        for (;;)
            barrier();
    }
    if (!has_option("ready"))
        put_text("payload: done\n");
    end_machine();
}
