/* What the payload can be told to do; see README.md for the command line. */
#include "payload.h"

#define XCR0_X87_SSE_AVX 7

static void finish(const char *name, u64 count, u64 start, u64 end)
{
    put_text("payload: ");
    report(name, count);
    report("cycles", end - start);
    put_char('\n');
}

void run_exits(void)
{
    u64 count = option("exits", 0), read = has_option("in");
    u16 port = (u16)option("port", 0x5e0);
    u64 start = cycles();

    if (read)
        for (u64 i = 0; i < count; i++)
            in32(port);
    else
        for (u64 i = 0; i < count; i++)
            out8(port, (u8)i);
    finish("exits", count, start, cycles());
}

void run_mmio(void)
{
    u64 count = option("mmio", 0), read = has_option("in"), gpa = option("gpa", 0xd0000000);

    map_range(gpa, 8);

    u64 start = cycles();

    if (read)
        for (u64 i = 0; i < count; i++)
            (void)MMIO32(gpa);
    else
        for (u64 i = 0; i < count; i++)
            MMIO32(gpa) = (u32)i;
    finish("mmio", count, start, cycles());
}

/* Writes a pattern that depends on page and round into pages from base on, so that a copy can be checked; for ever with rounds=0. */
void run_dirty(void)
{
    u64 pages = option("dirty", 0), base = option("base", 16 << 20), rounds = option("rounds", 1), start = cycles();

    map_range(base, pages << 12);
    for (u64 round = 1; !rounds || round <= rounds; round++)
        for (u64 page = 0; page < pages; page++) {
            MMIO64(base + (page << 12)) = page << 32 | round;
            MMIO64(base + (page << 12) + 4088) = ~(page << 32 | round);
        }
    for (u64 page = 0; page < pages; page++)
        if (MMIO64(base + (page << 12)) != (page << 32 | rounds) || MMIO64(base + (page << 12) + 4088) != ~(page << 32 | rounds)) {
            put_text("payload: bad page ");
            put_number(page);
            put_char('\n');
            end_machine();
        }
    finish("dirty", pages * rounds, start, cycles());
}

static int has_avx(void)
{
    u32 eax = 1, ebx, ecx = 0, edx;

    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (ecx >> 26 & 1) && (ecx >> 28 & 1);
}

/* Counts in every 64-bit lane of the vector registers: a lost or mixed up register breaks the sum. */
void run_vectors(void)
{
    u64 count = option("fpu", 0), avx = has_avx(), start = cycles(), bad = 0;
    static const u64 one[4] __attribute__((aligned(32))) = { 1, 1, 1, 1 };
    static u64 lanes[4] __attribute__((aligned(32)));

    if (avx) {
        asm volatile("ud2" : : "a"(SUPERVISOR_XSETBV), "b"(XCR0_X87_SSE_AVX), "d"(0) : "rcx", "memory");
        asm volatile("vmovdqa %0, %%ymm7; vpxor %%ymm15, %%ymm15, %%ymm15; vpxor %%ymm8, %%ymm8, %%ymm8" : : "m"(one));
    } else {
        asm volatile("movdqa %0, %%xmm7; pxor %%xmm15, %%xmm15; pxor %%xmm8, %%xmm8" : : "m"(one));
    }
    for (u64 i = 1; !count || i <= count; i++) {
        if (avx)
            asm volatile("vpaddq %%xmm7, %%xmm8, %%xmm8\n"
                         "vextracti128 $1, %%ymm15, %%xmm9\n"
                         "vpaddq %%xmm7, %%xmm9, %%xmm9\n"
                         "vpaddq %%xmm7, %%xmm15, %%xmm10\n"
                         "vinserti128 $1, %%xmm9, %%ymm10, %%ymm15\n"
                         "vmovdqa %%ymm15, %0" : "=m"(lanes));
        else
            asm volatile("paddq %%xmm7, %%xmm8; paddq %%xmm7, %%xmm15; movdqa %%xmm15, %0; movdqa %%xmm8, %1"
                         : "=m"(*(u64(*)[2])lanes), "=m"(*(u64(*)[2])(lanes + 2)));
        for (int lane = 0; lane < 4; lane++)
            bad += lanes[lane] != i;
    }

    u64 end = cycles();

    put_text("payload: ");
    report("avx", avx);
    report("bad", bad);
    report("fpu", count);
    report("cycles", end - start);
    put_char('\n');
}
