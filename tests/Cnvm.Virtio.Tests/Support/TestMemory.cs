using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Guest RAM on native memory: two regions with a hole between them.</summary>
public sealed unsafe class TestMemory : IDisposable
{
    public const ulong HoleStart = 0x40_0000;
    public const ulong HoleEnd = 0x50_0000;
    public const ulong End = 0x60_0000;
    private readonly void* _bytes;

    public TestMemory()
    {
        _bytes = NativeMemory.AlignedAlloc((nuint)End, 4096);
        NativeMemory.Clear(_bytes, (nuint)End);
        nint origin = (nint)_bytes;
        Guest = new GuestMemory(
            origin,
            [new RamRegion(0, HoleStart, origin), new RamRegion(HoleEnd, End - HoleEnd, origin + (nint)HoleEnd)],
            owner: null);
    }

    public GuestMemory Guest { get; }

    public Span<byte> this[ulong gpa, int length] => Guest.GetSpan(gpa, length);

    public void Write<T>(ulong gpa, T value)
        where T : unmanaged => MemoryMarshal.Write(Guest.GetSpan(gpa, sizeof(T)), in value);

    public T Read<T>(ulong gpa)
        where T : unmanaged => MemoryMarshal.Read<T>(Guest.GetSpan(gpa, sizeof(T)));

    public void Dispose() => NativeMemory.AlignedFree(_bytes);
}
