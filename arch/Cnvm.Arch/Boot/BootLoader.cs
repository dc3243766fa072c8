using System.Text;
using Cnvm.Arch.Machine;
using Cnvm.Arch.Registers;

namespace Cnvm.Arch.Boot;

/// <summary>
/// Puts a kernel, its initramfs and its command line into guest memory and says how to enter it. Files are read piece by piece straight
/// into guest memory; nothing of their size is allocated.
/// </summary>
public static class BootLoader
{
    private const ulong PageSize = 4096;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Loads everything.</summary>
    /// <exception cref="KernelLoadException">
    /// Something cannot be booted. Files that are not kernels are refused before memory is written; after a file that turns out to be
    /// damaged further on, guest memory holds a part of it.
    /// </exception>
    public static BootResult Load(BootRequest request, IPhysicalMemory memory)
    {
        var image = KernelImage.Parse(request.Kernel);
        var commandLine = EncodeCommandLine(request.CommandLine, image);
        return image.BzImage is { } header
            ? LoadBzImage(request, memory, header, commandLine)
            : LoadElf(request, memory, image.Elf!, commandLine);
    }

    private static BootResult LoadElf(BootRequest request, IPhysicalMemory memory, ElfImage elf, byte[] commandLine)
    {
        CheckExtent(request, elf.Extent);
        var pvhEntry = elf.FindPvhEntry();
        var protocol = ChooseForElf(request, pvhEntry);
        var initramfs = PlaceInitramfs(request, elf.Extent, uint.MaxValue);
        elf.Load(memory, request.MemoryIsZero);
        return EnterElf(request, memory, elf, protocol, pvhEntry, initramfs, commandLine);
    }

    private static BootResult LoadBzImage(BootRequest request, IPhysicalMemory memory, BzImageHeader header, byte[] commandLine)
    {
        if (request.Protocol is BootProtocol.Auto or BootProtocol.Pvh
            && KernelPayload.Open(request.Kernel, header, request.Decompressor, out var format) is { } stream)
        {
            using (stream)
            {
                return LoadPayload(request, memory, header, stream, format, commandLine);
            }
        }

        var protocol = request.Protocol switch
        {
            BootProtocol.Pvh => throw new KernelLoadException(
                $"'{request.Kernel.Name}' is a bzImage that cannot be unpacked here, and the PVH entry is inside. Give the ELF "
                + "vmlinux instead."),
            BootProtocol.Linux64 when !header.HasEntry64 => throw new KernelLoadException(
                $"'{request.Kernel.Name}' has no 64-bit entry (XLF_KERNEL_64 is clear in xloadflags)."),
            BootProtocol.Auto => header.HasEntry64 ? BootProtocol.Linux64 : BootProtocol.Linux32,
            var asked => asked,
        };

        var loadAddress = header.IsRelocatable && header.PreferredAddress is >= LowMemory.HighRam and <= uint.MaxValue
            ? header.PreferredAddress
            : BootParams.DefaultLoadAddress;
        if (header.PreferredAddress > uint.MaxValue)
        {
            throw new KernelLoadException(
                $"'{request.Kernel.Name}' wants to run at 0x{header.PreferredAddress:x} (pref_address), above what a bzImage can reach.");
        }

        // The kernel unpacks itself to where it runs, and needs init_size there.
        var runEnd = Math.Max(header.PreferredAddress, loadAddress) + header.InitSize;
        var kernel = AddressRange.Between(loadAddress, Math.Max(runEnd, loadAddress + (ulong)header.KernelSize));
        CheckExtent(request, kernel);
        var initramfs = PlaceInitramfs(request, kernel, header.InitrdAddressMax);

        new FileKernelSource(request.Kernel).CopyTo(memory, loadAddress, header.KernelOffset, (ulong)header.KernelSize);
        LoadInitramfs(request, memory, initramfs);
        WriteLinux(request, memory, header, loadAddress, initramfs, commandLine);
        var entry = protocol == BootProtocol.Linux64
            ? EntryState.Linux64(memory, loadAddress + BootParams.Entry64Offset, LowMemory.ZeroPage)
            : EntryState.Linux32(memory, loadAddress, LowMemory.ZeroPage);
        return new BootResult(protocol, entry, kernel, initramfs, null);
    }

    /// <summary>The ELF kernel inside a bzImage. It passes by once, so its notes are read from guest memory.</summary>
    private static BootResult LoadPayload(
        BootRequest request, IPhysicalMemory memory, BzImageHeader header, Stream stream, CompressionFormat format, byte[] commandLine)
    {
        var elf = ElfImage.Parse(new StreamKernelSource(request.Kernel.Name, stream));
        CheckExtent(request, elf.Extent);
        var initramfs = PlaceInitramfs(request, elf.Extent, header.InitrdAddressMax);
        elf.Load(memory, request.MemoryIsZero);
        var pvhEntry = elf.FindLoadedPvhEntry(memory);
        var protocol = ChooseForElf(request, pvhEntry);
        return EnterElf(request, memory, elf, protocol, pvhEntry, initramfs, commandLine) with { UnpackedByHost = format };
    }

    private static BootProtocol ChooseForElf(BootRequest request, ulong? pvhEntry) => request.Protocol switch
    {
        BootProtocol.Auto => pvhEntry is null ? BootProtocol.Linux64 : BootProtocol.Pvh,
        BootProtocol.Pvh when pvhEntry is null => throw new KernelLoadException(
            $"'{request.Kernel.Name}' has no PVH entry (Xen note 18). Build it with CONFIG_PVH=y."),
        BootProtocol.Linux32 => throw new KernelLoadException($"'{request.Kernel.Name}' is an ELF kernel: only a bzImage has a "
            + "32-bit entry."),
        var asked => asked,
    };

    private static BootResult EnterElf(
        BootRequest request,
        IPhysicalMemory memory,
        ElfImage elf,
        BootProtocol protocol,
        ulong? pvhEntry,
        AddressRange initramfs,
        byte[] commandLine)
    {
        VcpuEntry entry;
        if (protocol == BootProtocol.Pvh)
        {
            LoadInitramfs(request, memory, initramfs);
            WriteCommandLine(memory, commandLine);
            HvmStartInfo.Write(memory, request.Layout.BuildMemoryMap(), LowMemory.CommandLine, request.RsdpAddress, initramfs);
            entry = EntryState.Pvh(memory, pvhEntry!.Value, LowMemory.HvmStartInfo);
        }
        else
        {
            if (!elf.Holds(elf.Entry))
            {
                throw new KernelLoadException(
                    $"'{request.Kernel.Name}' has its entry (e_entry 0x{elf.Entry:x}) in none of its segments: it is not a "
                    + "kernel for this protocol.");
            }

            LoadInitramfs(request, memory, initramfs);
            WriteLinux(request, memory, null, elf.Extent.Start, initramfs, commandLine);
            entry = EntryState.Linux64(memory, elf.Entry, LowMemory.ZeroPage);
        }

        return new BootResult(protocol, entry, elf.Extent, initramfs, null);
    }

    private static void WriteLinux(
        BootRequest request, IPhysicalMemory memory, BzImageHeader? header, ulong loadAddress, AddressRange initramfs, byte[] commandLine)
    {
        WriteCommandLine(memory, commandLine);
        ZeroPage.Write(
            memory,
            header,
            loadAddress,
            request.Layout.BuildMemoryMap(),
            (uint)LowMemory.CommandLine,
            request.RsdpAddress,
            initramfs);
    }

    private static void CheckExtent(BootRequest request, AddressRange kernel)
    {
        if (kernel.Start < LowMemory.HighRam)
        {
            throw new KernelLoadException(
                $"'{request.Kernel.Name}' wants to lie at 0x{kernel.Start:x}; memory below 1 MiB holds boot data. It is not a "
                + "kernel for this machine.");
        }

        var ram = request.Layout.RamRegions[0];
        if (kernel.End > ram.End)
        {
            throw new KernelLoadException(
                $"'{request.Kernel.Name}' needs memory up to {MebibytesUp(kernel.End)} MiB and the guest has {ram.End >> 20} MiB there. "
                + "Give the guest more memory.");
        }
    }

    /// <summary>At the top of the first RAM region, so that the kernel has all the room that there is.</summary>
    private static AddressRange PlaceInitramfs(BootRequest request, AddressRange kernel, uint lastAddress)
    {
        if (request.Initramfs is not { } file)
        {
            return default;
        }

        if (file.Length <= 0)
        {
            throw new KernelLoadException($"The initramfs '{file.Name}' is empty.");
        }

        var end = Math.Min(request.Layout.RamRegions[0].End, lastAddress + 1UL) & ~(PageSize - 1);
        var length = (ulong)file.Length;
        if (length > end || ((end - length) & ~(PageSize - 1)) < kernel.End)
        {
            throw new KernelLoadException(
                $"The kernel '{request.Kernel.Name}' (up to {MebibytesUp(kernel.End)} MiB) and the initramfs '{file.Name}' "
                + $"({MebibytesUp(length)} MiB) do not fit below {end >> 20} MiB. Give the guest more memory.");
        }

        return new AddressRange((end - length) & ~(PageSize - 1), length);
    }

    private static void LoadInitramfs(BootRequest request, IPhysicalMemory memory, AddressRange range)
    {
        if (request.Initramfs is { } file)
        {
            new FileKernelSource(file).CopyTo(memory, range.Start, 0, range.Length);
        }
    }

    private static byte[] EncodeCommandLine(string commandLine, KernelImage image)
    {
        byte[] bytes;
        try
        {
            bytes = Utf8.GetBytes(commandLine);
        }
        catch (EncoderFallbackException e)
        {
            throw new KernelLoadException("The kernel command line is not valid Unicode.", e);
        }

        if (bytes.AsSpan().Contains((byte)0))
        {
            throw new KernelLoadException("The kernel command line holds a NUL character.");
        }

        var limit = Math.Min(image.BzImage?.CommandLineSize ?? uint.MaxValue, LowMemory.CommandLineCapacity - 1);
        return bytes.Length <= limit
            ? bytes
            : throw new KernelLoadException($"The kernel command line has {bytes.Length} bytes; this kernel takes at most {limit}.");
    }

    private static void WriteCommandLine(IPhysicalMemory memory, byte[] commandLine)
    {
        var span = memory.GetSpan(LowMemory.CommandLine, commandLine.Length + 1);
        commandLine.CopyTo(span);
        span[^1] = 0;
    }

    private static ulong MebibytesUp(ulong bytes) => (bytes + (1 << 20) - 1) >> 20;
}
