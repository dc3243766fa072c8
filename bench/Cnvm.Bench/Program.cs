using System.Runtime.InteropServices;
using Cnvm.Bench;
using Cnvm.Bench.Devices;
using Cnvm.Bench.Figures;
using Cnvm.Bench.Machines;

BenchOptions? options;
try
{
    options = BenchOptions.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine($"bench: {e.Message}");
    Console.Error.WriteLine(BenchOptions.Usage);
    return 2;
}

if (options is null)
{
    Console.WriteLine(BenchOptions.Usage);
    return 0;
}

using var workspace = new Workspace();

Experiment? running = null;

// Children die with this process; what else it made has to be removed first.
void Stop(PosixSignalContext context)
{
    running?.Abandon();
    workspace.Dispose();
    Environment.Exit(130);
}

using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

Experiment[] experiments =
[
    new BinarySize(workspace),
    new ApiStart(workspace),
    new ApiLatency(workspace),
    new ApiBoot(workspace),
    new MemoryOverhead(workspace),
    new FirstInstruction(workspace),
    new ExitRoundTrip(workspace),
    new DiskRead(workspace, new("blk-rand-4k", "IOPS", "virtio-blk random reads of 4 KiB, 16 in flight", HigherIsBetter: true), 4 << 10, 20_000, 16, random: true),
    new DiskRead(workspace, new("blk-seq-128k", "MiB/s", "virtio-blk sequential reads of 128 KiB, 8 in flight", HigherIsBetter: true), 128 << 10, 8_000, 8, random: false),
    new SnapshotSave(workspace, 256),
    new SnapshotSave(workspace, 1024),
    new SnapshotIncrement(workspace, 256),
    new SnapshotIncrement(workspace, 1024),
    new SnapshotRestore(workspace, 256),
    new SnapshotRestore(workspace, 1024),
    new SnapshotMemory(workspace),
    new GuestToUserspace(workspace),
    new SoftwareProcessor(workspace),
    new SoftwareSpeed(workspace),
    new MigrateGuest(workspace),
    new MigrateSpeed(workspace),
    new MigrateLocal(workspace),
    .. new[] { false, true }.SelectMany(isNested => (Experiment[])
    [
        new DiskWork(workspace, isNested),
        new NetWork(workspace, isNested),
        new FolderWork(workspace, isNested),
        new VsockWork(workspace, isNested),
    ]),
    new SandboxStart(workspace),
    new SandboxNested(workspace),
    new ContainerStart(workspace),
    new ContainerFleet(workspace),
];

if (options.List)
{
    foreach (Measure measure in experiments.SelectMany(e => e.Measures).Where(options.Wants))
    {
        Console.WriteLine($"{measure.Name,-24} {measure.Unit,-6} {measure.Description}");
    }

    return 0;
}

var figures = new List<Figure>();
Console.WriteLine(Table.Header);
foreach (Experiment experiment in experiments.Where(e => e.Measures.Any(options.Wants)))
{
    string names = string.Join(", ", experiment.Measures.Where(options.Wants).Select(m => m.Name));
    Console.Error.WriteLine($"bench: {names}");
    running = experiment;
    foreach (Figure figure in experiment.Run(options.Runs, line => Console.Error.WriteLine($"bench:   {line}")).Where(f => options.Wants(f.Measure)))
    {
        figures.Add(figure);
        foreach (string line in Table.Lines(figure))
        {
            Console.WriteLine(line);
        }
    }
}

if (options.JsonFile is { } path)
{
    using FileStream file = File.Create(path);
    Table.WriteJson(file, figures);
}

return figures.SelectMany(f => f.Peers.Append(f.Value)).Any(r => r.Failed) ? 1 : 0;
