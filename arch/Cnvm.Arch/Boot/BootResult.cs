using Cnvm.Arch.Machine;
using Cnvm.Arch.Registers;

namespace Cnvm.Arch.Boot;

/// <summary>A kernel that lies in guest memory, ready to be entered.</summary>
/// <param name="Protocol">The entry that was chosen; never <see cref="BootProtocol.Auto"/>.</param>
/// <param name="Entry">State of the boot vCPU at its first instruction.</param>
/// <param name="Kernel">What the kernel occupies, with the memory that it needs to start.</param>
/// <param name="Initramfs">Where the initramfs lies; empty without one.</param>
/// <param name="UnpackedByHost">How the kernel was packed if the host unpacked it; otherwise null.</param>
public sealed record BootResult(
    BootProtocol Protocol,
    VcpuEntry Entry,
    AddressRange Kernel,
    AddressRange Initramfs,
    CompressionFormat? UnpackedByHost);
