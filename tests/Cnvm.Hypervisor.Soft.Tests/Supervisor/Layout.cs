using System.Buffers.Binary;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>
/// The memory of a supervisor scenario before its own changes: tables for every mode, identity mapped, and a handler for each vector that
/// writes to the port of the vector's number. Everything below 2 MiB is mapped one to one; <see cref="XApic"/> is the local APIC's page.
/// </summary>
internal static class Layout
{
    public const int RamSize = 0x3_0000;

    public const ulong Gdt = 0x1000;
    public const ulong Idt64 = 0x2000;
    public const ulong Tss64 = 0x3000;
    public const ulong Ldt = 0x4000;
    public const ulong Handlers = 0x5000;
    public const ulong Pml4 = 0x6000;
    public const ulong PageTable = 0x9000;
    public const ulong PaePointers = 0xa000;
    public const ulong PaeTable = 0xc000;
    public const ulong LegacyDirectory = 0xd000;
    public const ulong LegacyTable = 0xe000;
    public const ulong KernelCode = 0x1_2000;
    public const ulong UserCode = 0x1_3000;
    public const ulong KernelStack = 0x1_5000;
    public const ulong UserStack = 0x1_6000;
    public const ulong IstStacks = 0x1_7000;
    public const ulong KernelData = 0x1_e000;
    public const ulong UserData = 0x1_f000;
    public const ulong Frames = 0x2_0000;
    public const ulong Idt32 = 0x2_8000;
    public const ulong Tss32 = 0x2_9000;
    public const ulong MoreCode = 0x2_a000;
    public const ulong XApic = 0x1f_0000;

    /// <summary>Tables of the region whose entries scenarios choose: in long mode, in PAE paging, and in 32-bit paging.</summary>
    public const ulong TestPointers = 0xf000;
    public const ulong TestDirectory = 0x1_0000;
    public const ulong TestTable = 0x1_1000;
    public const ulong TestLong = 0x80_0000_0000;
    public const ulong TestLegacy = 0x4000_0000;

    /// <summary>Selectors. SYSRET's order of the user's: 32-bit code, data, 64-bit code.</summary>
    public const ushort Code64 = 0x08;
    public const ushort Data = 0x10;
    public const ushort UserCode32 = 0x1b;
    public const ushort UserDataSelector = 0x23;
    public const ushort UserCode64 = 0x2b;
    public const ushort Task = 0x30;
    public const ushort Code32 = 0x40;
    public const ushort Code16 = 0x48;
    public const ushort LdtSelector = 0x50;
    public const ushort Free = 0x60;
    public const int GdtLimit = 0xff;

    /// <summary>Ports that do not stand for a vector: the code's end, and three that only leave a note, of 1, 2 and 4 bytes.</summary>
    public const byte EndPort = 0xf0;
    public const byte NotePort = 0xf1;

    public const ulong Present = 1;
    public const ulong Writable = 2;
    public const ulong User = 4;
    public const ulong Accessed = 0x20;
    public const ulong Dirty = 0x40;
    public const ulong Large = 0x80;
    public const ulong NoExecute = 1ul << 63;
    private const ulong Uncached = 0x10;

    public static byte[] Base { get; } = Build();

    public static void Put(byte[] ram, ulong at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(ram.AsSpan((int)at), value);

    public static void Put32(byte[] ram, ulong at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(ram.AsSpan((int)at), value);

    /// <summary>Attributes as in bits 40 to 55 of a descriptor: type, S, DPL, P; AVL, L, D, G.</summary>
    public static ulong Descriptor(ulong @base, uint limit, uint attributes) =>
        (limit & 0xffff) | ((@base & 0xff_ffff) << 16) | ((ulong)(attributes & 0xf0ff) << 40) | ((ulong)(limit & 0xf_0000) << 32)
        | ((@base & 0xff00_0000) << 32);

    /// <summary>Low half of a gate; type with P and DPL as in bits 40 to 47.</summary>
    public static ulong Gate(ulong target, ushort selector, uint type, uint ist = 0) =>
        (target & 0xffff) | ((ulong)selector << 16) | ((ulong)ist << 32) | ((ulong)type << 40) | ((target & 0xffff_0000) << 32);

    private static byte[] Build()
    {
        byte[] ram = new byte[RamSize];
        for (uint v = 0; v < 256; v++)
        {
            ulong handler = Handlers + (v * 16);
            // out v, al ; jmp to itself: the same in every mode.
            new byte[] { 0xe6, (byte)v, 0xeb, 0xfe }.CopyTo(ram, (int)handler);
            Put(ram, Idt64 + (v * 16), Gate(handler, Code64, 0x8e));
            Put(ram, Idt32 + (v * 8), Gate(handler, Code32, 0x8e));
            // The real-mode table.
            Put32(ram, v * 4, (uint)handler);
        }

        Put(ram, Gdt + Code64, Descriptor(0, 0xf_ffff, 0xa09b));
        Put(ram, Gdt + Data, Descriptor(0, 0xf_ffff, 0xc093));
        Put(ram, Gdt + (UserCode32 & ~7u), Descriptor(0, 0xf_ffff, 0xc0fb));
        Put(ram, Gdt + (UserDataSelector & ~7u), Descriptor(0, 0xf_ffff, 0xc0f3));
        Put(ram, Gdt + (UserCode64 & ~7u), Descriptor(0, 0xf_ffff, 0xa0fb));
        Put(ram, Gdt + Task, Descriptor(Tss64, 0x67, 0x8b));
        Put(ram, Gdt + Code32, Descriptor(0, 0xf_ffff, 0xc09b));
        Put(ram, Gdt + Code16, Descriptor(0, 0xffff, 0x9b));
        Put(ram, Gdt + LdtSelector, Descriptor(Ldt, 0xff, 0x82));

        Put(ram, Tss64 + 4, KernelStack);
        for (uint i = 0; i < 7; i++)
        {
            Put(ram, Tss64 + 0x24 + (i * 8), IstStacks + (i * 0x1000));
        }

        Put32(ram, Tss32 + 4, (uint)KernelStack);
        Put32(ram, Tss32 + 8, Data);
        // No permission bitmaps: they would begin behind the limit.
        Put32(ram, Tss32 + 0x64, 0x68u << 16);
        Put32(ram, Tss64 + 0x64, 0x68u << 16);

        Put(ram, Pml4, 0x7000 | 7);
        Put(ram, Pml4 + 8, TestPointers | 7);
        Put(ram, 0x7000, 0x8000 | 7);
        Put(ram, 0x8000, PageTable | 7);
        Put(ram, PaePointers, 0xb000 | 1);
        Put(ram, PaePointers + 8, TestDirectory | 1);
        Put(ram, 0xb000, PaeTable | 7);
        Put32(ram, LegacyDirectory, (uint)LegacyTable | 7);
        Put32(ram, LegacyDirectory + 0x400, (uint)TestTable | 7);
        for (ulong page = 0; page < 512; page++)
        {
            ulong a = page << 12;
            bool user = a is UserCode or (>= KernelStack and < UserStack) or (>= UserData and < Idt32) or MoreCode;
            ulong entry = a | Present | Writable | (user ? User : 0);
            if (a == XApic)
            {
                entry = 0xfee0_0000 | Present | Writable | Uncached;
            }

            Put(ram, PageTable + (page * 8), entry);
            Put(ram, PaeTable + (page * 8), entry);
            Put32(ram, LegacyTable + (page * 4), (uint)entry);
        }

        Put(ram, TestPointers, TestDirectory | 7);
        Put(ram, TestDirectory, TestTable | 7);
        for (ulong page = 0; page < 8; page++)
        {
            Put(ram, TestTable + ((32 + page) * 8), (Frames + (page << 12)) | 7);
        }

        return ram;
    }
}
