using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Guest RAM on native memory: two regions with a hole between them.</summary>
public sealed unsafe class TestMemory : IDisposable
{
    public const ulong HoleStart = 0x40_0000;
    public const ulong HoleEnd = 0x50_0000;
    public const ulong End = 0x60_0000;
    private readonly void* _bytes;
    private readonly FileDescriptor? _file;
    private readonly MappedMemory? _mapping;

    /// <summary>Memory that another process could map, in so many regions of the same size below the hole, and one behind it.</summary>
    public TestMemory(int sharedRegions)
    {
        _file = MemoryFile.Create("test", End);
        _mapping = MappedMemory.Map((nuint)End, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _file.Value, 0, "test memory");
        nint origin = _mapping.Address;
        ulong size = HoleStart / (ulong)sharedRegions;
        var regions = Enumerable.Range(0, sharedRegions).Select(i => ((ulong)i * size, size)).Append((HoleEnd, End - HoleEnd));
        Guest = new GuestMemory(
            origin,
            [
                .. regions.Select(r => new RamRegion(r.Item1, r.Item2, origin + (nint)r.Item1)
                {
                    BackingFd = _file.Value, BackingOffset = (long)r.Item1, Release = RamRelease.PunchHole,
                }),
            ],
            owner: null);
    }

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

    public void Dispose()
    {
        NativeMemory.AlignedFree(_bytes);
        _mapping?.Dispose();
        _file?.Dispose();
    }
}
