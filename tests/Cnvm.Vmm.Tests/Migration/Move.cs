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

    public MigrationTarget Target => _target ??= Make(StreamListener.Bind(Endpoint(TargetPath)));

    public MigrationLimits Limits { get; } = new() { DowntimeMs = 300, TimeoutS = 3600 };

    public MigrationStop SourceStop { get; } = new();

    public MigrationProgress SourceProgress { get; } = new(MigrationSide.Source, "unix:source");

    public MigrationProgress TargetProgress { get; } = new(MigrationSide.Target, "unix:target");

    public HandOverDecisions Decisions { get; } = new();

    public MigrationSource? Source { get; private set; }

    public bool Compress { get; init; }

    public bool FinishAfterTimeout { get; init; }

    public bool AutoConverge { get; init; }

    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(20);

    public TimeSpan AskingTime { get; init; } = TimeSpan.FromSeconds(20);

    public Action OnRound { get; set; } = static () => { };

    /// <summary>Where the target listens.</summary>
    public string TargetPath => Path.Combine(_folder, "target");

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
        Patience = Patience,
        GreetingPatience = Patience,
        AskingTime = AskingTime,
    };

    public void StartTarget() => Begin(Target.Run);

    /// <param name="through">Path to connect to.</param>
    public void StartSource(string? through = null)
    {
        StreamEndpoint endpoint = Endpoint(through ?? TargetPath);
        Source = new MigrationSource(
            Departure,
            Options,
            Limits,
            SourceProgress,
            SourceStop,
            givenUp =>
            {
                SocketStream socket = SocketStream.Connect(endpoint, 10_000, givenUp);
                return new MigrationLink(socket, socket);
            },
            [.. Enumerable.Range(1, 16).Select(i => (byte)i)])
        {
            OnRound = () => OnRound(),
        };
        Begin(Source.Run);
    }

    /// <summary>False if the source hangs.</summary>
    public bool WaitForSource() => _threads[^1].Join(Limit);

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
    }

    public void Dispose()
    {
        SourceStop.Ask("the test ends");
        Target.TryCancel("the test ends");
        WaitForEnd();
        Target.Dispose();
        Departure.Dispose();
        Arrival.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private MigrationTarget Make(StreamListener listener) => new(
        Arrival, Options, TargetProgress, new MigrationStop(), Decisions, listener, static s => new MigrationLink(s, s), NullLogger.Instance);

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
