using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// `ctr run` with containerd's shims: a container in a machine of its own (on KVM where that runs ordinary guests, else on the software vCPU) against one of
/// runc, and against one that goes on from a template. The container prints, waits for a line of input, and ends.
/// </summary>
internal sealed class ContainerStart(Workspace workspace) : Experiment
{
    private const string RuncSide = "runc";
    private const string TemplateSide = "cnvm-template";
    private const string Shim = "containerd-shim";
    private ContainerHost? _host;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("ctr-run-output-wall", "ms", "execution of `ctr run` to the first byte of the container's output"),
        new("ctr-run-end-wall", "ms", "a line of input that ends the container, to the end of `ctr run --rm`"),
        new("ctr-shim-rss", "MiB", "resident memory of the shim while the container runs; 12 MiB are the goal"),
        new("ctr-memory", "MiB", "proportional memory of shim and VMM, without the guest's own memory"),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", RuncSide, TemplateSide];

    protected override void SetUp() => _host = new ContainerHost(workspace);

    protected override void TearDown()
    {
        _host?.Dispose();
        _host = null;
    }

    protected override double[] Sample(string side)
    {
        using Child ctr = side switch
        {
            RuncSide => _host!.Run(ContainerHost.Runc),
            TemplateSide => _host!.Run(workspace.ShimProgram, "--runtime-config-path", _host.TemplateOptions),
            _ => _host!.Run(workspace.ShimProgram),
        };
        long up = ctr.WaitFor("up");
        ProcessMemory[] shims = [.. _host.Processes(Shim).Select(id => ProcessMemory.Of(id, 0))];
        ProcessMemory[] machines = [.. _host.Processes(ContainerFleet.Vmm).Select(id => ProcessMemory.Of(id, ContainerFleet.GuestKiB))];
        if (shims.Length != 1 || machines.Length != (side == RuncSide ? 0 : 1))
        {
            throw new MeasurementException($"{shims.Length} shims and {machines.Length} machines run one container");
        }

        long typed = Child.Now;
        ctr.Type("\n");
        string errors = ctr.WaitForEnd();
        long ended = Child.Now;
        _host.WaitUntilGone(Shim);
        return errors.Length == 0
            ? [
                (up - ctr.Executed) / 1e6, (ended - typed) / 1e6, shims[0].Resident / 1024.0,
                (shims[0].Proportional + machines.Sum(m => m.Proportional)) / 1024.0,
            ]
            : throw new MeasurementException($"ctr: {errors}");
    }
}
