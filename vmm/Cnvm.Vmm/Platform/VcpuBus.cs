using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;
using Cnvm.Hypervisor;

namespace Cnvm.Vmm.Platform;

/// <summary>What vCPUs reach: the two buses, and the interrupt controllers' side of EOI and acknowledge.</summary>
internal sealed class VcpuBus(IoBus ports, IoBus memory, IoApic ioApic, PicPair? pic) : IVcpuBus
{
    /// <summary>What an 8259 answers when no request is left at the acknowledge: IRQ 7 of the master, vector offset still 0.</summary>
    private const byte SpuriousVector = 7;

    public void ReadPort(ushort port, Span<byte> data) => ports.Read(port, data);

    public void WritePort(ushort port, ReadOnlySpan<byte> data) => ports.Write(port, data);

    public void ReadMmio(ulong gpa, Span<byte> data) => memory.Read(gpa, data);

    public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data) => memory.Write(gpa, data);

    public void EndOfInterrupt(byte vector) => ioApic.EndOfInterrupt(vector);

    public byte AcknowledgePic() => pic?.Acknowledge() ?? SpuriousVector;
}
