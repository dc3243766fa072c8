using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A guest that arrives: memory as it is offered, and a state that is kept as it came.</summary>
internal sealed class FakeArrival(World world) : IArrivingGuest, IDisposable
{
    public const string Side = "target";
    private GuestMemory? _memory;
    private ArrivingDiskSet? _disks;

    public GuestMemory Memory => _memory!;

    public byte[]? State { get; private set; }

    public bool? Resumed { get; private set; }

    public bool IsDiscarded { get; private set; }

    public bool IsPrepared => _memory is not null;

    public Exception? PrepareFailure { get; set; }

    public Exception? RestoreFailure { get; set; }

    public Exception? RunFailure { get; set; }

    /// <summary>Where disks arrive that come along.</summary>
    public string Folder { get; set; } = "/nonexistent";

    /// <summary>They may replace files.</summary>
    public bool Overwrites { get; set; }

    public Action OnDiscard { get; set; } = static () => { };

    /// <summary>Told when the memory is there.</summary>
    public Action OnPrepared { get; set; } = static () => { };

    /// <summary>Told before anything is done to a disk that comes along: "written", "cleared" or "flushed".</summary>
    public Action<string> OnDisk { get; set; } = static _ => { };

    public IReadOnlyList<IArrivingDisk> Disks => [.. (_disks?.Disks ?? []).Select(d => new WatchedDisk(d, OnDisk))];

    /// <summary>Told when the guest is about to run here, before disks take their places.</summary>
    public Action OnRun { get; set; } = static () => { };

    public (GuestMemory Memory, Func<int, bool> IsFresh) Prepare(MigrationOffer offer, HandedOver? handed)
    {
        if (PrepareFailure is { } failure)
        {
            throw failure;
        }

        if (offer.Disks is { } disks)
        {
            DiskConfig[] configs = [.. disks.Disks.Select(d => new DiskConfig { Id = d.Id, Path = Path.Combine(Folder, d.Id), ImageType = ImageType.Raw })];
            DiskPlacement[] placements = [.. configs.Select(c => new DiskPlacement(c.Id!, c.Path!, Overwrites))];
            _disks = ArrivingDiskSet.Create(new VmConfig { Disks = configs }, disks, placements, problem => Assert.Fail(problem));
        }

        Assert.True(offer.MemoryBytes <= 1 << 30, "a test with so much memory");
        RamPiece[] plan = [.. offer.Memory.Select(r => new RamPiece(r.Gpa, r.Size) { Shared = IsShared || handed is not null })];
        _memory = GuestRamAllocator.Allocate(handed?.Memory.Place(plan) ?? plan);
        OnPrepared();
        return (_memory, static _ => true);
    }

    public void AwaitMemory(Func<bool> isGivenUp)
    {
    }

    public byte? Seen { get; private set; }

    /// <summary>Told when the state has come.</summary>
    public Action OnRestore { get; set; } = static () => { };

    /// <summary>How long its clocks have stood, as it was told.</summary>
    public TimeSpan Stood { get; private set; }

    public void Restore(byte[] state, ulong nanoseconds)
    {
        Stood = TimeSpan.FromMicroseconds(nanoseconds / 1000);
        State = RestoreFailure is { } failure ? throw failure : state;
        OnRestore();
        try
        {
            Seen = LooksAt is { } gpa ? _memory!.GetSpan(gpa, 1)[0] : null;
        }
        catch (IOException e)
        {
            throw new MigrationException(e.Message, e);
        }
    }

    /// <summary>Pages that the machine waits for.</summary>
    public MissingPages? Missing { get; private set; }

    /// <summary>Its memory is shared with other processes.</summary>
    public bool IsShared { get; set; }

    /// <summary>Looks at the memory while the machine is made, as devices do.</summary>
    public ulong? LooksAt { get; set; }

    public void Await(MissingPages? missing)
    {
        _memory!.Await(missing);
        Missing = missing;
    }

    public void Run(bool resume)
    {
        OnRun();
        _disks?.PutInPlace();
        if (RunFailure is { } failure)
        {
            throw failure;
        }

        _disks?.Keep();
        _disks = null;
        Resumed = resume;
        world.Start(Side);
    }

    public void Discard()
    {
        IsDiscarded = true;
        OnDiscard();
        _disks?.Dispose();
        _disks = null;
        world.Stop(Side);
    }

    public void Dispose() => _memory?.Dispose();
}
