using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A guest that leaves: some memory, and a script of what it writes between the rounds.</summary>
internal sealed class FakeDeparture : IDepartingGuest, IDisposable
{
    public const string Side = "source";
    private readonly World _world;
    private readonly List<ulong> _written = [];
    private int _collections;

    public FakeDeparture(World world, IReadOnlyList<RamPiece>? plan = null)
    {
        _world = world;
        plan ??= [new RamPiece(0, 0x20_0000), new RamPiece(0x100_0000, 0x10_0000)];
        Memory = GuestRamAllocator.Allocate(plan);
        Offer = new MigrationOffer
        {
            Config = "{}"u8.ToArray(),
            Machine = "cloud",
            Guest = new GuestPromise(1, new CpuidTable([]), "Host", 1000),
            Memory = [.. plan.Select(p => new MigrationRange(p.Gpa, p.Size, p.ZoneId ?? ""))],
            Hypervisor = "fake",
        };
        _world.Start(Side);
    }

    public GuestMemory Memory { get; }

    public bool IsPaused { get; init; }

    public MigrationOffer Offer { get; }

    public byte[] State { get; init; } = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 7))];

    /// <summary>Writes memory before each collection; told its number from 1, and called by <see cref="Write"/> for what is to be recorded.</summary>
    public Action<int> OnCollect { get; set; } = static _ => { };

    public bool IsTracking { get; private set; }

    public bool IsStopped { get; private set; }

    public Exception? StopFailure { get; set; }

    public void Write(ulong gpa, byte value)
    {
        Memory.GetSpan(gpa, 1)[0] = value;
        _written.Add(gpa);
    }

    public void StartTracking() => IsTracking = true;

    public void Collect(DirtyBitmap into)
    {
        Assert.True(IsTracking);
        OnCollect(++_collections);
        foreach (ulong gpa in _written)
        {
            into.Mark(gpa, 1);
        }

        _written.Clear();
    }

    public void StopTracking()
    {
        IsTracking = false;
        Throttled = 0;
    }

    /// <summary>Percent.</summary>
    public int Throttled { get; private set; }

    public int MostThrottled { get; private set; }

    public void Throttle(int percent)
    {
        Assert.True(IsTracking);
        Throttled = percent;
        MostThrottled = Math.Max(percent, MostThrottled);
    }

    public void FlushDisks()
    {
    }

    public void Stop()
    {
        if (StopFailure is { } failure)
        {
            throw failure;
        }

        IsStopped = true;
        _world.Stop(Side);
    }

    public byte[] Save() => State;

    public ulong StoppedFor() => 1_000_000;

    public void GoOn()
    {
        IsStopped = false;
        _world.Start(Side);
    }

    public void Dispose() => Memory.Dispose();
}
