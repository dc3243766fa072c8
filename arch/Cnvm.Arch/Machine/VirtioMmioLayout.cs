namespace Cnvm.Arch.Machine;

/// <summary>Fixed virtio-mmio transports.</summary>
/// <param name="Address">Registers of transport 0.</param>
/// <param name="Count">Number of transports.</param>
/// <param name="FirstGsi">GSI of transport 0; transport i has <c>FirstGsi + i</c>.</param>
/// <param name="EdgeTriggered">Whether the interrupts are edges (ISA pins) or levels.</param>
public sealed record VirtioMmioLayout(ulong Address, int Count, uint FirstGsi, bool EdgeTriggered)
{
    /// <summary>Bytes of register space per transport.</summary>
    public const ulong Stride = 512;

    /// <summary>Registers of transport <paramref name="index"/>.</summary>
    public ulong AddressOf(int index) => Address + (Stride * (ulong)Checked(index));

    /// <summary>GSI of transport <paramref name="index"/>.</summary>
    public uint GsiOf(int index) => FirstGsi + (uint)Checked(index);

    /// <summary>
    /// What tells a Linux guest without ACPI about transport <paramref name="index"/> (kernel-parameters: virtio_mmio.device).
    /// </summary>
    public string CommandLineOf(int index) => $"virtio_mmio.device=512@0x{AddressOf(index):x}:{GsiOf(index)}";

    private int Checked(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        return index;
    }
}
