using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Boot;

/// <summary>What to boot.</summary>
public sealed record BootRequest
{
    /// <summary>The kernel: an ELF vmlinux or a bzImage.</summary>
    public required IKernelFile Kernel { get; init; }

    /// <summary>The initramfs, or null.</summary>
    public IKernelFile? Initramfs { get; init; }

    /// <summary>The kernel command line, without a terminating NUL.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>The machine's address space.</summary>
    public required PhysicalLayout Layout { get; init; }

    /// <summary>Where the ACPI RSDP is; 0 without ACPI.</summary>
    public ulong RsdpAddress { get; init; }

    /// <summary>Which entry to use.</summary>
    public BootProtocol Protocol { get; init; }

    /// <summary>Decompressors for kernels that the host unpacks; null leaves all but gzip and LZ4 to the guest.</summary>
    public IDecompressor? Decompressor { get; init; }

    /// <summary>RAM was never written (a first boot): zeroed parts of the kernel need not be touched.</summary>
    public bool MemoryIsZero { get; init; }
}
