using System.Buffers.Binary;
using Cnvm.Arch.Machine;
using Cnvm.Arch.Registers;

namespace Cnvm.Arch.Boot;

/// <summary>The state of the boot vCPU at each kind of entry, with the GDT and page tables in guest memory that it needs.</summary>
internal static class EntryState
{
    private const ulong Cr0ProtectionEnable = 1UL << 0;
    private const ulong Cr0ExtensionType = 1UL << 4;
    private const ulong Cr0Paging = 1UL << 31;
    private const ulong Cr4PhysicalAddressExtension = 1UL << 5;
    private const ulong EferLongModeEnable = 1UL << 8;
    private const ulong EferLongModeActive = 1UL << 10;
    private const ulong RflagsReserved = 1UL << 1;

    // Linux asks for these selectors (__BOOT_CS and __BOOT_DS, boot.rst); PVH leaves them open.
    private const ushort CodeSelector = 0x10;
    private const ushort DataSelector = 0x18;
    private const ushort TaskSelector = 0x20;

    // Descriptor attributes, bits 55:40 (SDM vol. 3, 3.4.5): present, accessed; code or data also readable/writable, 4 KiB granular.
    private const uint Code32Attributes = 0xC09B;
    private const uint Code64Attributes = 0xA09B;
    private const uint DataAttributes = 0xC093;
    private const uint TaskAttributes = 0x008B;
    private const uint TaskLimit = 0x67;
    private const uint FlatLimit = 0xFFFF_FFFF;

    private const ulong PageWritable = 0x3;
    private const ulong PageLarge = 0x80;
    private const int PageSize = 4096;
    private const ulong LargePageSize = 2UL << 20;
    private const int MappedGigabytes = 4;

    /// <summary>PVH: hvm_start_info in EBX (start_info.h).</summary>
    public static VcpuEntry Pvh(IPhysicalMemory memory, ulong entry, ulong startInfo) => new()
    {
        General = new GeneralRegisters { Rip = entry, Rbx = startInfo, Rflags = RflagsReserved },
        System = Protected(memory),
    };

    /// <summary>The 32-bit Linux entry: boot_params in ESI; EBX, EBP and EDI zero.</summary>
    public static VcpuEntry Linux32(IPhysicalMemory memory, ulong entry, ulong bootParams) => new()
    {
        General = Linux(entry, bootParams),
        System = Protected(memory),
    };

    /// <summary>The 64-bit Linux entry: boot_params in RSI, the first 4 GiB mapped one to one.</summary>
    public static VcpuEntry Linux64(IPhysicalMemory memory, ulong entry, ulong bootParams)
    {
        WritePageTables(memory);
        return new VcpuEntry
        {
            General = Linux(entry, bootParams),
            System = Flat(memory, Code64Attributes) with
            {
                Cr0 = Cr0ProtectionEnable | Cr0ExtensionType | Cr0Paging,
                Cr3 = LowMemory.PageTables,
                Cr4 = Cr4PhysicalAddressExtension,
                Efer = EferLongModeEnable | EferLongModeActive,
            },
        };
    }

    private static GeneralRegisters Linux(ulong entry, ulong bootParams) => new()
    {
        Rip = entry,
        Rsi = bootParams,
        Rsp = LowMemory.BootStack + 0xFF0,
        Rflags = RflagsReserved,
    };

    private static SystemRegisters Protected(IPhysicalMemory memory) =>
        Flat(memory, Code32Attributes) with { Cr0 = Cr0ProtectionEnable | Cr0ExtensionType };

    private static SystemRegisters Flat(IPhysicalMemory memory, uint codeAttributes)
    {
        ReadOnlySpan<ulong> descriptors =
        [
            0,
            0,
            Descriptor(FlatLimit, codeAttributes),
            Descriptor(FlatLimit, DataAttributes),
            Descriptor(TaskLimit, TaskAttributes),
            0, // a TSS descriptor has 16 bytes in long mode
        ];
        var gdt = memory.GetSpan(LowMemory.Gdt, descriptors.Length * 8);
        for (var i = 0; i < descriptors.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(gdt[(i * 8)..], descriptors[i]);
        }

        memory.GetSpan(LowMemory.Idt, 8).Clear();
        var data = new SegmentRegister { Selector = DataSelector, Limit = FlatLimit, Attributes = DataAttributes };
        return new SystemRegisters
        {
            Cs = new SegmentRegister { Selector = CodeSelector, Limit = FlatLimit, Attributes = codeAttributes },
            Ds = data,
            Es = data,
            Fs = data,
            Gs = data,
            Ss = data,
            Tr = new SegmentRegister { Selector = TaskSelector, Limit = TaskLimit, Attributes = TaskAttributes },
            Ldt = new SegmentRegister { Attributes = SegmentRegister.Unusable },
            Gdt = new DescriptorTable(LowMemory.Gdt, (ushort)((descriptors.Length * 8) - 1)),
            Idt = new DescriptorTable(LowMemory.Idt, 7),
        };
    }

    /// <summary>A descriptor with base 0.</summary>
    private static ulong Descriptor(uint limit, uint attributes)
    {
        var units = (attributes & 0x8000) != 0 ? limit >> 12 : limit;
        return (units & 0xFFFF) | ((ulong)attributes << 40) | ((ulong)(units & 0xF_0000) << 32);
    }

    private static void WritePageTables(IPhysicalMemory memory)
    {
        var tables = memory.GetSpan(LowMemory.PageTables, (2 + MappedGigabytes) * PageSize);
        tables.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(tables, (LowMemory.PageTables + PageSize) | PageWritable);
        for (var i = 0; i < MappedGigabytes; i++)
        {
            var directory = LowMemory.PageTables + (ulong)((2 + i) * PageSize);
            BinaryPrimitives.WriteUInt64LittleEndian(tables[(PageSize + (i * 8))..], directory | PageWritable);
        }

        for (var i = 0; i < MappedGigabytes * 512; i++)
        {
            var page = ((ulong)i * LargePageSize) | PageLarge | PageWritable;
            BinaryPrimitives.WriteUInt64LittleEndian(tables[((2 * PageSize) + (i * 8))..], page);
        }
    }
}
