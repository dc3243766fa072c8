namespace Cnvm.Hypervisor;

/// <summary>
/// All that a backend knows of devices: the I/O bus. Called on the vCPU's own thread; implementations never throw for what a
/// guest does (an access nobody answers reads as ones) and allocate nothing.
/// </summary>
public interface IVcpuBus
{
    /// <summary>IN of 1, 2 or 4 bytes.</summary>
    void ReadPort(ushort port, Span<byte> data);

    /// <summary>OUT of 1, 2 or 4 bytes.</summary>
    void WritePort(ushort port, ReadOnlySpan<byte> data);

    /// <summary>Load of 1 to 8 bytes outside RAM.</summary>
    void ReadMmio(ulong gpa, Span<byte> data);

    /// <summary>Store of 1 to 8 bytes outside RAM.</summary>
    void WriteMmio(ulong gpa, ReadOnlySpan<byte> data);

    /// <summary>The local APIC ended a level-triggered interrupt (EOI broadcast to the I/O APICs).</summary>
    void EndOfInterrupt(byte vector);

    /// <summary>Interrupt acknowledge cycle to the 8259 pair; called only after the pair asserted its output.</summary>
    byte AcknowledgePic();
}
