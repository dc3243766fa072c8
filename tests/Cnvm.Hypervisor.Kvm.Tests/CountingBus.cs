namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>Counts accesses and allocates nothing.</summary>
internal sealed class CountingBus : IVcpuBus
{
    /// <summary>After this many accesses <see cref="Target"/> is kicked; 0: never.</summary>
    public long Limit { get; set; }

    public IVirtualCpu? Target { get; set; }

    public long Count { get; private set; }

    public void ReadPort(ushort port, Span<byte> data) => Bump();

    public void WritePort(ushort port, ReadOnlySpan<byte> data) => Bump();

    public void ReadMmio(ulong gpa, Span<byte> data) => Bump();

    public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data) => Bump();

    public void EndOfInterrupt(byte vector) => Bump();

    public byte AcknowledgePic() => 0;

    private void Bump()
    {
        if (++Count == Limit)
        {
            Target!.Kick();
        }
    }
}
