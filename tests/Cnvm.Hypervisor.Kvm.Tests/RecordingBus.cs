using System.Buffers.Binary;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>Records what a guest does on the bus and answers from a script.</summary>
internal sealed class RecordingBus : IVcpuBus
{
    public record struct Access(string Kind, ulong Address, int Size, ulong Value);

    public List<Access> Accesses { get; } = [];

    /// <summary>Answers a read; the default echoes the address.</summary>
    public Func<string, ulong, int, ulong> Answer { get; set; } = (_, address, _) => address;

    /// <summary>Runs after every access, on the vCPU's thread.</summary>
    public Action<Access>? After { get; set; }

    public Func<byte> Acknowledge { get; set; } = () => throw new InvalidOperationException("nobody asserted the PIC");

    public void ReadPort(ushort port, Span<byte> data) => Read("in", port, data);

    public void WritePort(ushort port, ReadOnlySpan<byte> data) => Record("out", port, data);

    public void ReadMmio(ulong gpa, Span<byte> data) => Read("load", gpa, data);

    public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data) => Record("store", gpa, data);

    public void EndOfInterrupt(byte vector) => Add(new Access("eoi", vector, 0, 0));

    public byte AcknowledgePic() => Acknowledge();

    private void Read(string kind, ulong address, Span<byte> data)
    {
        Span<byte> value = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(value, Answer(kind, address, data.Length));
        value[..data.Length].CopyTo(data);
        Record(kind, address, data);
    }

    private void Record(string kind, ulong address, ReadOnlySpan<byte> data)
    {
        Span<byte> value = stackalloc byte[8];
        value.Clear();
        data.CopyTo(value);
        Add(new Access(kind, address, data.Length, BinaryPrimitives.ReadUInt64LittleEndian(value)));
    }

    private void Add(Access access)
    {
        Accesses.Add(access);
        After?.Invoke(access);
    }
}
