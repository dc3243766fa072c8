/*
 * A polling virtio-blk driver (virtio 1.2): PCI found by configuration mechanism 1 or ECAM, or MMIO. One queue, interrupts
 * off, "depth" requests in flight. Options: blk=pci | blk=ecam:ADDRESS | blk=mmio:ADDRESS, requests=N, size=BYTES, depth=N,
 * random, write, sectors=N (range to use; default: the whole disk).
 */
#include "payload.h"

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define FEATURE_VERSION_1 1u /* bit 32, in the second word */

#define QUEUE_SIZE 128
#define DESCRIPTORS_PER_REQUEST 3
#define MAX_DEPTH (QUEUE_SIZE / DESCRIPTORS_PER_REQUEST)
#define MAX_SIZE (1u << 20)
#define BUFFERS (32ul << 20)
#define SECTOR 512

#define DESC_NEXT 1
#define DESC_WRITE 2
#define AVAIL_NO_INTERRUPT 1
#define BLK_IN 0
#define BLK_OUT 1

struct descriptor { u64 address; u32 length; u16 flags, next; };
struct available { u16 flags, index, ring[QUEUE_SIZE], used_event; };
struct used { u16 flags, index; struct { u32 id, length; } ring[QUEUE_SIZE]; u16 avail_event; };

static struct descriptor descriptors[QUEUE_SIZE] __attribute__((aligned(4096)));
static volatile struct available available __attribute__((aligned(4096)));
static volatile struct used used __attribute__((aligned(4096)));
static struct { u32 type, reserved; u64 sector; } headers[MAX_DEPTH];
static volatile u8 statuses[MAX_DEPTH];

static u64 notify_address;
static int notify_wide;
static u64 capacity;

static void fail(const char *why)
{
    put_text("payload: blk: ");
    put_text(why);
    put_char('\n');
    end_machine();
}

/* ---- MMIO transport, virtio 1.2 section 4.2.2 ---- */

static void start_mmio(u64 base)
{
    map_range(base, 0x1000);
    if (MMIO32(base) != 0x74726976 || MMIO32(base + 0x04) != 2 || MMIO32(base + 0x08) != 2)
        fail("no modern virtio-blk device at that address");
    MMIO32(base + 0x70) = 0;
    MMIO32(base + 0x70) = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    MMIO32(base + 0x24) = 0;
    MMIO32(base + 0x20) = 0;
    MMIO32(base + 0x24) = 1;
    MMIO32(base + 0x20) = FEATURE_VERSION_1;
    MMIO32(base + 0x70) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
    if (!(MMIO32(base + 0x70) & STATUS_FEATURES_OK))
        fail("features refused");
    MMIO32(base + 0x30) = 0;
    if (MMIO32(base + 0x34) < QUEUE_SIZE)
        fail("queue too small");
    MMIO32(base + 0x38) = QUEUE_SIZE;
    MMIO32(base + 0x80) = (u32)(u64)descriptors;
    MMIO32(base + 0x84) = 0;
    MMIO32(base + 0x90) = (u32)(u64)&available;
    MMIO32(base + 0x94) = 0;
    MMIO32(base + 0xa0) = (u32)(u64)&used;
    MMIO32(base + 0xa4) = 0;
    MMIO32(base + 0x44) = 1;
    MMIO32(base + 0x70) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
    capacity = MMIO32(base + 0x100) | (u64)MMIO32(base + 0x104) << 32;
    notify_address = base + 0x50;
    notify_wide = 1;
}

/* ---- PCI transport, virtio 1.2 section 4.1 ---- */

static u64 ecam;

static u32 read_config(u32 device, u32 offset)
{
    if (ecam)
        return MMIO32(ecam + (device << 12) + offset);
    out32(0xcf8, 0x80000000 | device << 8 | (offset & 0xfc));
    return in32(0xcfc);
}

static void write_config(u32 device, u32 offset, u32 value)
{
    if (ecam) {
        MMIO32(ecam + (device << 12) + offset) = value;
        return;
    }
    out32(0xcf8, 0x80000000 | device << 8 | (offset & 0xfc));
    out32(0xcfc, value);
}

static u64 bar_address(u32 device, u32 bar)
{
    u32 low = read_config(device, 0x10 + 4 * bar);
    u64 high = (low & 6) == 4 ? read_config(device, 0x14 + 4 * bar) : 0;

    if (low & 1)
        fail("capability in an I/O BAR");
    return high << 32 | (low & ~0xfu);
}

static void start_pci(void)
{
    u64 common = 0, notify = 0, config = 0;
    u32 multiplier = 0, device;

    for (device = 0; device < 32 << 3; device++) {
        u32 id = read_config(device, 0);

        if (id == 0x10421af4 || id == 0x10011af4)
            break;
    }
    if (device == 32 << 3)
        fail("no virtio-blk device on PCI bus 0");
    write_config(device, 4, (read_config(device, 4) & 0xffff) | 6); /* memory and bus master */
    for (u32 at = read_config(device, 0x34) & 0xfc; at; at = read_config(device, at) >> 8 & 0xfc) {
        u32 header = read_config(device, at);

        if ((header & 0xff) != 9)
            continue;

        u32 type = header >> 24;
        u32 bar = read_config(device, at + 4) & 0xff;
        if (type < 1 || type > 4 || bar > 5)
            continue;
        u64 where = bar_address(device, bar) + read_config(device, at + 8);

        if (type == 1 && !common)
            common = where;
        else if (type == 2 && !notify)
            notify = where, multiplier = read_config(device, at + 16);
        else if (type == 4 && !config)
            config = where;
    }
    if (!common || !notify || !config)
        fail("no modern PCI capabilities");
    map_range(common, 0x1000);
    map_range(notify, 0x1000);
    map_range(config, 0x1000);
    MMIO8(common + 20) = 0;
    while (MMIO8(common + 20))
        ;
    MMIO8(common + 20) = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    MMIO32(common + 8) = 0;
    MMIO32(common + 12) = 0;
    MMIO32(common + 8) = 1;
    MMIO32(common + 12) = FEATURE_VERSION_1;
    MMIO8(common + 20) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
    if (!(MMIO8(common + 20) & STATUS_FEATURES_OK))
        fail("features refused");
    MMIO16(common + 22) = 0;
    if (MMIO16(common + 24) < QUEUE_SIZE)
        fail("queue too small");
    MMIO16(common + 24) = QUEUE_SIZE;
    MMIO32(common + 32) = (u32)(u64)descriptors;
    MMIO32(common + 36) = 0;
    MMIO32(common + 40) = (u32)(u64)&available;
    MMIO32(common + 44) = 0;
    MMIO32(common + 48) = (u32)(u64)&used;
    MMIO32(common + 52) = 0;
    notify_address = notify + (u64)MMIO16(common + 30) * multiplier;
    map_range(notify_address, 4);
    MMIO16(common + 28) = 1;
    MMIO8(common + 20) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
    capacity = MMIO32(config) | (u64)MMIO32(config + 4) << 32;
}

/* ---- requests ---- */

static void submit(u32 slot, u64 sector, u32 size, int write)
{
    u16 first = (u16)(slot * DESCRIPTORS_PER_REQUEST);

    headers[slot].type = write ? BLK_OUT : BLK_IN;
    headers[slot].sector = sector;
    statuses[slot] = 0xff;
    descriptors[first] = (struct descriptor){ (u64)&headers[slot], 16, DESC_NEXT, first + 1 };
    descriptors[first + 1] = (struct descriptor){ BUFFERS + (u64)slot * MAX_SIZE, size, DESC_NEXT | (write ? 0 : DESC_WRITE), first + 2 };
    descriptors[first + 2] = (struct descriptor){ (u64)&statuses[slot], 1, DESC_WRITE, 0 };
    available.ring[available.index % QUEUE_SIZE] = first;
    barrier();
    available.index = available.index + 1;
}

static void notify(void)
{
    fence();
    if (used.flags & 1)
        return;
    if (notify_wide)
        MMIO32(notify_address) = 0;
    else
        MMIO16(notify_address) = 0;
}

static u64 next_random(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void run_block(void)
{
    const char *where = option_text("blk");
    u64 requests = option("requests", 1000), seed = 88172645463325252ul, sum = 0;
    u32 size = (u32)option("size", 4096), depth = (u32)option("depth", 1);
    int random = has_option("random"), write = has_option("write");

    if (!size || size > MAX_SIZE || size % SECTOR || !depth || depth > MAX_DEPTH)
        fail("bad size or depth");
    if (text_is(where, "mmio") || text_is(where, "ecam")) {
        int mmio = text_is(where, "mmio");

        where += 5;

        u64 base = parse_number(&where);

        if (mmio) {
            start_mmio(base);
        } else {
            ecam = base;
            map_range(ecam, 1 << 20);
            start_pci();
        }
    } else {
        start_pci();
    }
    available.flags = AVAIL_NO_INTERRUPT;

    u64 sectors = option("sectors", capacity), step = size / SECTOR, blocks = sectors / step;

    if (!blocks || sectors > capacity)
        fail("disk smaller than one request");

    u64 sent = 0, start = cycles();
    u16 seen = 0;

    for (; sent < depth && sent < requests; sent++)
        submit((u32)sent, (random ? next_random(&seed) : sent) % blocks * step, size, write);
    notify();
    for (u64 done = 0; done < requests;) {
        int again = 0;

        while (used.index == seen)
            asm volatile("pause");
        barrier();
        while (used.index != seen) {
            u32 slot = used.ring[seen % QUEUE_SIZE].id / DESCRIPTORS_PER_REQUEST;

            if (slot >= depth || statuses[slot])
                fail("request failed");
            sum += MMIO64(BUFFERS + (u64)slot * MAX_SIZE);
            seen++;
            done++;
            if (sent < requests) {
                submit(slot, (random ? next_random(&seed) : sent) % blocks * step, size, write);
                sent++;
                again = 1;
            }
        }
        if (again)
            notify();
    }

    u64 end = cycles();

    put_text("payload: ");
    report("blk", requests);
    report("bytes", requests * size);
    report("sum", sum);
    report("cycles", end - start);
    put_char('\n');
}
