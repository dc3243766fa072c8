using BenchmarkDotNet.Attributes;
using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Memory;

namespace Cnvm.Micro;

/// <summary>Guest memory as devices use it: an address of the guest's becomes a span, what was written is marked.</summary>
[MemoryDiagnoser]
public class MemoryAccess : IDisposable
{
    private const ulong LowSize = 16 << 20;
    private const ulong HighBase = 4UL << 30;
    private const ulong HighSize = 16 << 20;
    private readonly GuestMemory _memory = GuestRamAllocator.Allocate([new RamPiece(0, LowSize), new RamPiece(HighBase, HighSize)]);
    private readonly GuestMemory _tracked = GuestRamAllocator.Allocate([new RamPiece(0, LowSize), new RamPiece(HighBase, HighSize)]);
    private ulong _offset;

    public MemoryAccess() => _tracked.StartDirtyTracking();

    [Benchmark]
    public int LowSpan() => _memory.TryGetSpan(Next(), 4096, out Span<byte> span) ? span[0] : -1;

    /// <summary>Memory above 4 GiB is the second range.</summary>
    [Benchmark]
    public int HighSpan() => _memory.TryGetSpan(HighBase + Next(), 4096, out Span<byte> span) ? span[0] : -1;

    /// <summary>An address that is not RAM.</summary>
    [Benchmark]
    public bool Refused() => _memory.TryGetSpan(HighBase - HighSize + Next(), 4096, out _);

    [Benchmark]
    public void MarkDirtyUntracked() => _memory.MarkDirty(HighBase + Next(), 4096);

    [Benchmark]
    public void MarkDirtyTracked() => _tracked.MarkDirty(HighBase + Next(), 4096);

    [GlobalCleanup]
    public void Dispose()
    {
        _memory.Dispose();
        _tracked.Dispose();
        GC.SuppressFinalize(this);
    }

    private ulong Next() => _offset = (_offset + (4096 * 37)) & (LowSize - 1);
}
