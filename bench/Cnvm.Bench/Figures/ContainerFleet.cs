using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>Twenty containers at once, each by a `ctr run` of its own: with cnvm twenty machines.</summary>
internal sealed class ContainerFleet(Workspace workspace) : Experiment
{
    public const string Vmm = "cnvm-vmm";

    /// <summary>Memory of the shim's machines when nothing is said.</summary>
    public const long GuestKiB = 256 << 10;

    private const int Containers = 20;
    private const string RuncSide = "runc";
    private const string Shim = "containerd-shim";
    private ContainerHost? _host;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("ctr-20-output-wall", "ms", $"{Containers} times `ctr run` at once, until all have printed"),
        new("ctr-20-memory", "MiB", $"proportional memory of shim and VMM, without the guest's own, for each of {Containers} containers that run"),
        new("ctr-20-guest", "MiB", $"the guest's own memory that is in use, for each of {Containers} (256 MiB are theirs; runc: none)"),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", RuncSide];

    protected override int DefaultRounds => 2;

    protected override void SetUp() => _host = new ContainerHost(workspace);

    protected override void TearDown()
    {
        _host?.Dispose();
        _host = null;
    }

    protected override double[] Sample(string side)
    {
        var running = new List<Child>();
        try
        {
            long started = Child.Now;
            for (int i = 0; i < Containers; i++)
            {
                running.Add(_host!.Run(side == RuncSide ? ContainerHost.Runc : workspace.ShimProgram));
            }

            // The last one to be read has been up for long: what counts is when all have come.
            running.ForEach(c => c.WaitFor("up"));
            long up = Child.Now;
            ProcessMemory[] machines = [.. _host!.Processes(Vmm).Select(id => ProcessMemory.Of(id, GuestKiB))];
            long shims = _host.Processes(Shim).Sum(id => ProcessMemory.Of(id, 0).Proportional);
            foreach (Child child in running)
            {
                child.Type("\n");
            }

            foreach (Child child in running)
            {
                string errors = child.WaitForEnd();
                if (errors.Length > 0)
                {
                    throw new MeasurementException($"ctr: {errors}");
                }
            }

            _host.WaitUntilGone(Shim);
            return
            [
                (up - started) / 1e6, (shims + machines.Sum(m => m.Proportional)) / 1024.0 / Containers, machines.Sum(m => m.Guest) / 1024.0 / Containers,
            ];
        }
        finally
        {
            running.ForEach(c => c.Dispose());
        }
    }
}
