using Cnvm.Linux;
using Cnvm.Vmm.Migration;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A source and a target in this process, joined by a Unix socket, perhaps with somebody in between.</summary>
internal sealed class Move : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-move-").FullName;
    private readonly World _world = new();
    private readonly List<Thread> _threads = [];
    private MigrationTarget? _target;

    public Move()
    {
        Departure = new FakeDeparture(_world);
        Arrival = new FakeArrival(_world);
    }

    public FakeDeparture Departure { get; set; }

    public FakeArrival Arrival { get; }

    public MigrationTarget Target => _target ??= Make(StreamListener.Bind(TargetEndpoint ?? Endpoint(TargetPath)));

    public MigrationLimits Limits { get; } = new() { DowntimeMs = 300, TimeoutS = 3600 };

    public MigrationStop SourceStop { get; } = new();

    public MigrationProgress SourceProgress { get; private set; } = new(MigrationSide.Source, "unix:source");

    /// <summary>Where the source connects from now on; null: where it was told to at first.</summary>
    public string? SourceGoesTo { get; set; }

    /// <summary>The source's connection.</summary>
    public MigrationLink? SourceLink { get; private set; }

    /// <summary>All of them, in the order in which they were made.</summary>
    public List<MigrationLink> SourceLinks { get; } = [];

    /// <summary>Told when the source has connected once more.</summary>
    public Action OnConnected { get; set; } = static () => { };

    public MigrationProgress TargetProgress { get; } = new(MigrationSide.Target, "unix:target");

    public HandOverDecisions Decisions { get; } = new();

    public MigrationSource? Source { get; private set; }

    public MigrationTransport SourceTransport { get; set; } = MigrationTransport.Plain;

    public MigrationTransport TargetTransport { get; init; } = MigrationTransport.Plain;

    /// <summary>What the target reads its connections through.</summary>
    public Func<Stream, Stream>? TargetReads { get; init; }

    /// <summary>Where the target listens, if not at <see cref="TargetPath"/>.</summary>
    public StreamEndpoint? TargetEndpoint { get; init; }

    public bool Compress { get; init; }

    public bool FinishAfterTimeout { get; init; }

    public bool AutoConverge { get; init; }

    public bool OnlyChecks { get; init; }

    public int Connections { get; init; } = 1;

    public int Postcopy { get; init; }

    public ulong DeltaCacheBytes { get; init; }

    /// <summary>What both sides say of a post-copy.</summary>
    public System.Collections.Concurrent.ConcurrentQueue<string> PostcopyEvents { get; } = new();

    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(20);

    public TimeSpan AskingTime { get; init; } = TimeSpan.FromSeconds(20);

    public Action OnRound { get; set; } = static () => { };

    /// <summary>What the source calls the migration.</summary>
    public static byte[] Session => [.. Enumerable.Range(1, 16).Select(i => (byte)i)];

    /// <summary>Where the target listens.</summary>
    public string TargetPath => Path.Combine(_folder, "target");

    /// <summary>Where disks arrive that come along.</summary>
    public string DiskFolder => Path.Combine(_folder, "disks");

    /// <summary>The guest brings its disks along.</summary>
    public void BringDisks(params FakeDisk[] disks)
    {
        Directory.CreateDirectory(DiskFolder);
        Arrival.Folder = DiskFolder;
        Departure.FakeDisks = disks;
    }

    /// <summary>A free place for whoever is in between.</summary>
    public string ProxyPath => Path.Combine(_folder, "proxy");

    public World World => _world;

    public static StreamEndpoint Endpoint(string path)
    {
        Assert.True(StreamEndpoint.TryParse($"unix:{path}", out StreamEndpoint? endpoint));
        return endpoint!;
    }

    public MigrationOptions Options => new()
    {
        Producer = "test",
        Compress = Compress,
        FinishAfterTimeout = FinishAfterTimeout,
        AutoConverge = AutoConverge,
        OnlyChecks = OnlyChecks,
        Connections = Connections,
        Postcopy = (PostcopyUse)Postcopy,
        DeltaCacheBytes = DeltaCacheBytes,
        Patience = Patience,
        GreetingPatience = Patience,
        AskingTime = AskingTime,
    };

    public void StartTarget() => Begin(Target.Run);

    /// <param name="through">Path to connect to.</param>
    public void StartSource(string? through = null)
    {
        if (Source is not null)
        {
            SourceProgress = new MigrationProgress(MigrationSide.Source, "unix:source");
        }

        StreamEndpoint endpoint = through is null && TargetEndpoint is { } elsewhere ? elsewhere : Endpoint(through ?? TargetPath);
        Source = new MigrationSource(
            Departure,
            Options,
            Limits,
            SourceProgress,
            SourceStop,
            givenUp =>
            {
                SourceLinks.Add(SourceLink = SourceTransport.Connect(SourceGoesTo is { } path ? Endpoint(path) : endpoint, givenUp));
                OnConnected();
                return SourceLink;
            },
            Session)
        {
            OnRound = () => OnRound(),
            OnPostcopy = name => PostcopyEvents.Enqueue($"source {name}"),
        };
        Begin(Source.Run);
    }

    /// <summary>False if the source hangs.</summary>
    public bool WaitForSource() => WaitForSource(Limit);

    /// <summary>False if the source has not ended by then.</summary>
    public bool WaitForSource(TimeSpan limit) => _threads[^1].Join(limit);

    /// <summary>The target does nothing by itself any more: it is over, or waits for a source.</summary>
    public bool HasTargetStopped =>
        TargetProgress.Phase is MigrationPhase.Connecting or MigrationPhase.Completed or MigrationPhase.Failed
        || (TargetProgress.Phase == MigrationPhase.PostcopyLost && Target.IsIncomplete);

    /// <summary>Waits for both to end: a hang fails the test.</summary>
    public void WaitForEnd()
    {
        foreach (Thread thread in _threads)
        {
            Assert.True(thread.Join(Limit), $"{thread.Name} hangs: source {SourceProgress.Info()}, target {TargetProgress.Info()}");
        }
    }

    public void Run()
    {
        StartTarget();
        StartSource();
        WaitForEnd();
    }

    /// <summary>The target has what the source had.</summary>
    public void AssertMemoryArrived()
    {
        foreach (Cnvm.Hypervisor.Memory.RamRegion r in Departure.Memory.Regions)
        {
            Assert.True(
                Departure.Memory.GetSpan(r.Gpa, (int)r.Size).SequenceEqual(Arrival.Memory.GetSpan(r.Gpa, (int)r.Size)),
                $"memory from 0x{r.Gpa:x} on has not arrived as it was");
        }

        Assert.Equal(Departure.State, Arrival.State);
        AssertDisksArrived();
    }

    /// <summary>The target has the disks of the source, and no other file.</summary>
    public void AssertDisksArrived()
    {
        foreach (FakeDisk disk in Departure.FakeDisks)
        {
            byte[] arrived = File.ReadAllBytes(Path.Combine(DiskFolder, disk.Offer.Id));
            Assert.True(disk.Contents.AsSpan().SequenceEqual(arrived), $"disk {disk.Offer.Id} has not arrived as it was");
        }

        if (Departure.FakeDisks.Count > 0)
        {
            Assert.Equal(Departure.FakeDisks.Select(d => d.Offer.Id).Order(), Directory.GetFiles(DiskFolder).Select(Path.GetFileName).Order());
        }
    }

    public void Dispose()
    {
        SourceStop.End("the test ends");
        if (Target.IsIncomplete)
        {
            Target.Abandon();
        }

        Target.TryCancel("the test ends");
        WaitForEnd();
        Target.Dispose();
        Departure.Dispose();
        Arrival.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private MigrationTarget Make(StreamListener listener) => new(
        Arrival, Options, TargetProgress, new MigrationStop(), Decisions, listener, Accept, NullLogger.Instance)
    {
        OnPostcopy = name => PostcopyEvents.Enqueue($"target {name}"),
    };

    private MigrationLink Accept(SocketStream socket)
    {
        MigrationLink link = TargetTransport.Accept(socket);
        return TargetReads is { } reads ? new MigrationLink(socket, reads(link.Stream)) : link;
    }

    private void Begin(Action action)
    {
        var thread = new Thread(() =>
        {
            action();
            if (action.Target == Target && TargetProgress.Phase == MigrationPhase.Completed)
            {
                Target.SayGoodbye();
            }
        })
        {
            Name = action.Target == Target ? "target" : "source",
            IsBackground = true,
        };
        _threads.Add(thread);
        thread.Start();
    }
}
