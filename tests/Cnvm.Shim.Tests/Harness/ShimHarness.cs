using System.Text.Json.Nodes;
using Cnvm.Shim.Events;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>A shim in this process with sandboxes that are processes, a client of it, and an event service.</summary>
internal sealed class ShimHarness : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private int _fifos;

    private ShimHarness(string directory, string id, bool isUnified)
    {
        Directory = directory;
        Containerd = new FakeContainerd(EventSocket);
        Identity = new ShimIdentity(Path.Combine(directory, "c.sock"), "test", id);
        Session = new ShimSession(
            Identity, Factory, new EventPublisher(EventSocket, "test", NullLogger.Instance), new HostMetrics(isUnified), NullLogger.Instance);
        Server = ShimServer.Bind(ShimSocket);
        _running = Server.RunAsync(Session, _stop.Token);
    }

    public string Directory { get; }

    public ShimIdentity Identity { get; }

    public ShimSession Session { get; }

    public ShimServer Server { get; }

    public FakeContainerd Containerd { get; }

    public ProcessSandboxFactory Factory { get; } = new();

    public TaskClient Client { get; private set; } = null!;

    /// <summary>Ends with the shim.</summary>
    public Task Running => _running;

    public string ShimSocket => Path.Combine(Directory, "s.sock");

    private string EventSocket => Path.Combine(Directory, "e.sock");

    /// <param name="isUnified">As on a host with the unified hierarchy of control groups.</param>
    public static async Task<ShimHarness> StartAsync(string id = "c1", bool isUnified = false)
    {
        var harness = new ShimHarness(System.IO.Directory.CreateTempSubdirectory("cnvm-shim-").FullName, id, isUnified);
        harness.Client = await TaskClient.ConnectAsync(harness.ShimSocket);
        return harness;
    }

    /// <summary>Makes a bundle whose container runs a shell command.</summary>
    /// <param name="annotations">Key and value, one after the other.</param>
    public string MakeBundle(string id, string command, bool terminal = false, params string[] annotations) => MakeBundle(Directory, id, command, terminal, annotations);

    /// <inheritdoc cref="MakeBundle(string, string, bool, string[])"/>
    public static string MakeBundle(string directory, string id, string command, bool terminal = false, params string[] annotations)
    {
        string bundle = Path.Combine(directory, id);
        System.IO.Directory.CreateDirectory(Path.Combine(bundle, "rootfs"));
        var spec = new JsonObject
        {
            ["ociVersion"] = "1.0.2",
            ["process"] = Process(command, terminal),
            ["root"] = new JsonObject { ["path"] = "rootfs" },
            ["annotations"] = new JsonObject(annotations.Chunk(2).Select(a => KeyValuePair.Create(a[0], (JsonNode?)a[1]))),
        };
        File.WriteAllText(Path.Combine(bundle, "config.json"), spec.ToJsonString());
        return bundle;
    }

    /// <summary>An OCI process that runs a shell command.</summary>
    public static JsonObject Process(string command, bool terminal = false) => new()
    {
        ["terminal"] = terminal,
        ["args"] = new JsonArray("/bin/sh", "-c", command),
        ["cwd"] = "/",
    };

    /// <summary>Makes a container that runs a shell command; its streams go nowhere unless they are given.</summary>
    public async Task CreateAsync(string id, string command, TaskClient.Streams streams = default, bool terminal = false) =>
        await Client.CreateAsync(new CreateTaskRequest
        {
            Id = id,
            Bundle = MakeBundle(id, command, terminal),
            Stdin = streams.In ?? "",
            Stdout = streams.Out ?? "",
            Stderr = streams.Err ?? "",
            Terminal = terminal,
        });

    /// <summary>Makes and starts one.</summary>
    public async Task RunAsync(string id, string command, TaskClient.Streams streams = default, bool terminal = false)
    {
        await CreateAsync(id, command, streams, terminal);
        await Client.StartAsync(id);
    }

    public string MakeFifo()
    {
        string path = Path.Combine(Directory, $"fifo{Interlocked.Increment(ref _fifos)}");
        Native.MakeFifo(path);
        return path;
    }

    /// <summary>Reads a FIFO to its end, as containerd's clients do: the opening waits for the shim.</summary>
    public static Task<string> ReadAllAsync(string fifo) => Task.Run(() => File.ReadAllText(fifo)).WaitAsync(Patience);

    /// <summary>The code of a call that must fail.</summary>
    public static async Task<TtrpcCode> CodeOfAsync(Task call) => (await Assert.ThrowsAsync<TtrpcException>(() => call)).Code;

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        await _stop.CancelAsync();
        await _running;
        await Session.DisposeAsync();
        await Server.DisposeAsync();
        await Containerd.DisposeAsync();
        _stop.Dispose();
        System.IO.Directory.Delete(Directory, true);
    }
}
