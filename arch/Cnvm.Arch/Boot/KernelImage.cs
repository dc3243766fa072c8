namespace Cnvm.Arch.Boot;

/// <summary>A kernel file that was recognised. Only its headers are read; they are checked against the file, not yet against RAM.</summary>
public sealed class KernelImage
{
    private KernelImage(ElfImage? elf, BzImageHeader? bzImage, ulong? pvhEntry)
    {
        Elf = elf;
        BzImage = bzImage;
        PvhEntry = pvhEntry;
    }

    /// <summary>An ELF vmlinux.</summary>
    public bool IsElf => Elf is not null;

    /// <summary>A bzImage.</summary>
    public bool IsBzImage => BzImage is not null;

    /// <summary>The PVH entry of an ELF kernel; null without one, and for a bzImage, whose kernel is packed.</summary>
    public ulong? PvhEntry { get; }

    internal ElfImage? Elf { get; }

    internal BzImageHeader? BzImage { get; }

    /// <summary>Recognises a kernel.</summary>
    /// <exception cref="KernelLoadException">It is not a kernel, is damaged, or cannot be read.</exception>
    public static KernelImage Parse(IKernelFile file)
    {
        if (file.Length <= 0)
        {
            throw new KernelLoadException($"The kernel '{file.Name}' is empty.");
        }

        var source = new FileKernelSource(file);
        var start = new byte[(int)Math.Min(file.Length, BootParams.SetupHeaderLimit)];
        source.ReadExactly(start, 0);
        if (ElfImage.IsElf(start))
        {
            var elf = ElfImage.Parse(source);
            return new KernelImage(elf, null, elf.FindPvhEntry());
        }

        if (BzImageHeader.IsBzImage(start))
        {
            return new KernelImage(null, BzImageHeader.Parse(start, file), null);
        }

        throw new KernelLoadException(
            $"'{file.Name}' is not a kernel: it is neither an x86-64 ELF file (vmlinux) nor a bzImage (vmlinuz).");
    }
}
