using System.Buffers.Binary;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Boot;

/// <summary>Writes struct boot_params of the Linux boot protocol.</summary>
internal static class ZeroPage
{
    private const uint LinuxKernelAlignment = 0x100_0000;

    /// <param name="memory">Guest RAM.</param>
    /// <param name="header">The kernel's setup header, or null for an ELF kernel, which has none.</param>
    /// <param name="loadAddress">Where the kernel lies.</param>
    /// <param name="map">Memory map, at most 128 entries.</param>
    /// <param name="commandLine">Where the command line lies.</param>
    /// <param name="rsdp">ACPI RSDP, or 0.</param>
    /// <param name="initramfs">The initramfs, below 4 GiB; empty without one.</param>
    public static void Write(
        IPhysicalMemory memory,
        BzImageHeader? header,
        ulong loadAddress,
        IReadOnlyList<MemoryMapEntry> map,
        uint commandLine,
        ulong rsdp,
        AddressRange initramfs)
    {
        var page = memory.GetSpan(LowMemory.ZeroPage, BootParams.Size);
        page.Clear();
        if (header is not null)
        {
            header.SetupHeader.CopyTo(page[BootParams.SetupSects..]);
        }
        else
        {
            BinaryPrimitives.WriteUInt16LittleEndian(page[BootParams.BootFlag..], BootParams.BootFlagValue);
            BinaryPrimitives.WriteUInt32LittleEndian(page[BootParams.HeaderMagic..], BootParams.HeaderMagicValue);
            BinaryPrimitives.WriteUInt16LittleEndian(page[BootParams.Version..], BootParams.OldestVersion);
            BinaryPrimitives.WriteUInt32LittleEndian(page[BootParams.KernelAlignment..], LinuxKernelAlignment);
            page[BootParams.LoadFlags] = BootParams.LoadFlagLoadedHigh;
        }

        // A header from a file may carry anything in the fields that are ours to fill in.
        page[BootParams.TypeOfLoader] = BootParams.LoaderUndefined;
        BinaryPrimitives.WriteUInt64LittleEndian(page[BootParams.SetupData..], 0);
        BinaryPrimitives.WriteUInt16LittleEndian(page[BootParams.VideoMode..], BootParams.VideoModeNormal);
        BinaryPrimitives.WriteUInt32LittleEndian(page[BootParams.Code32Start..], (uint)loadAddress);
        BinaryPrimitives.WriteUInt32LittleEndian(page[BootParams.CommandLinePointer..], commandLine);
        BinaryPrimitives.WriteUInt32LittleEndian(page[BootParams.RamdiskImage..], checked((uint)initramfs.Start));
        BinaryPrimitives.WriteUInt32LittleEndian(page[BootParams.RamdiskSize..], checked((uint)initramfs.Length));
        BinaryPrimitives.WriteUInt64LittleEndian(page[BootParams.AcpiRsdpAddress..], rsdp);

        ArgumentOutOfRangeException.ThrowIfGreaterThan(map.Count, BootParams.MaxE820Entries, nameof(map));
        page[BootParams.E820Entries] = (byte)map.Count;
        for (var i = 0; i < map.Count; i++)
        {
            var entry = page.Slice(BootParams.E820Table + (i * BootParams.E820EntrySize), BootParams.E820EntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Range.Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Range.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map[i].Type);
        }
    }
}
