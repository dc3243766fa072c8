using System.Buffers.Binary;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Boot;

/// <summary>Writes hvm_start_info, version 1, and what it points at (xen/include/public/arch-x86/hvm/start_info.h).</summary>
internal static class HvmStartInfo
{
    private const uint Magic = 0x336E_C578;
    private const uint Version = 1;
    private const int Size = 56;
    private const int ModuleSize = 32;
    private const int MemoryMapEntrySize = 24;

    public static void Write(
        IPhysicalMemory memory, IReadOnlyList<MemoryMapEntry> map, ulong commandLine, ulong rsdp, AddressRange initramfs)
    {
        var info = memory.GetSpan(LowMemory.HvmStartInfo, Size);
        info.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(info, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(info[4..], Version);
        if (initramfs.Length != 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(info[12..], 1); // nr_modules
            BinaryPrimitives.WriteUInt64LittleEndian(info[16..], LowMemory.HvmModuleList);
            var module = memory.GetSpan(LowMemory.HvmModuleList, ModuleSize);
            module.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(module, initramfs.Start);
            BinaryPrimitives.WriteUInt64LittleEndian(module[8..], initramfs.Length);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(info[24..], commandLine);
        BinaryPrimitives.WriteUInt64LittleEndian(info[32..], rsdp);
        BinaryPrimitives.WriteUInt64LittleEndian(info[40..], LowMemory.HvmMemoryMap);
        BinaryPrimitives.WriteInt32LittleEndian(info[48..], map.Count);

        var table = memory.GetSpan(LowMemory.HvmMemoryMap, map.Count * MemoryMapEntrySize);
        for (var i = 0; i < map.Count; i++)
        {
            var entry = table.Slice(i * MemoryMapEntrySize, MemoryMapEntrySize);
            entry.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Range.Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Range.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map[i].Type);
        }
    }
}
