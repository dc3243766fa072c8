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

    /// <summary>The memory is handed over: it must be of files.</summary>
    public IReadOnlyList<int>? MemoryDescriptors { get; set; }

    public IReadOnlyList<int> TapQueues => [];

    /// <summary>A guest whose memory is handed over.</summary>
    public static FakeDeparture Local(World world, bool isPaused = false)
    {
        RamPiece[] plan = [new RamPiece(0, 0x20_0000) { Shared = true }, new RamPiece(0x100_0000, 0x10_0000) { Shared = true }];
        var guest = new FakeDeparture(world, plan) { IsPaused = isPaused };
        guest.MemoryDescriptors = HandedMemory.Of(guest.Memory);
        return guest;
    }

    public MigrationOffer Offer { get; private set; }

    /// <summary>Disks that move along; none: they stay where they are.</summary>
    public IReadOnlyList<FakeDisk> FakeDisks
    {
        get;
        set
        {
            field = value;
            Offer = Offer with { Disks = new DiskOffers([.. value.Select(d => d.Offer)]) };
        }
    } = [];

    public IReadOnlyList<IDepartingDisk> Disks => FakeDisks;

    public byte[] State { get; init; } = [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * 7))];

    /// <summary>Writes memory before each collection; told its number from 1, and called by <see cref="Write"/> for what is to be recorded.</summary>
    public Action<int> OnCollect { get; set; } = static _ => { };

    public bool IsTracking { get; private set; }

    public bool IsStopped { get; private set; }

    public bool WasStopped { get; private set; }

    public Exception? StopFailure { get; set; }

    public void Write(ulong gpa, byte value)
    {
        Memory.GetSpan(gpa, 1)[0] = value;
        _written.Add(gpa);
    }

    public void StartTracking()
    {
        IsTracking = true;
        foreach (FakeDisk disk in FakeDisks)
        {
            disk.StartTracking();
        }
    }

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
        foreach (FakeDisk disk in FakeDisks)
        {
            disk.StopTracking();
        }
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
        WasStopped = true;
        _world.Stop(Side);
    }

    public byte[] Save() => State;

    public ulong StoppedFor() => IsPaused ? 0UL : 1_000_000;

    public void GoOn()
    {
        IsStopped = false;
        _world.Start(Side);
    }

    public void Dispose() => Memory.Dispose();
}
