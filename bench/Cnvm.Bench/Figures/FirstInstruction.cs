using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>From the execution of the program until a byte that the guest's first instructions write arrives in a pipe.</summary>
internal sealed class FirstInstruction(Workspace workspace) : Experiment
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly Vmm[] _machines = [new CnvmVmm(), QemuVmm.Microvm, QemuVmm.Q35, new BareLoop()];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("first-instruction-wall", "ms", "program start to the guest's first output, elapsed"),
        new("first-instruction-cpu", "ms", "program start to the guest's first output, processor time"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 9;

    protected override double[] Sample(string side)
    {
        var plan = new GuestPlan { Kernel = workspace.Image(Payload.Image), CommandLine = Payload.Nothing };
        using Child child = _machines.First(m => m.Name == side).Start(workspace, plan, Limit);
        long ready = child.WaitFor(Payload.FirstText);
        long cpu = child.ProcessorTime;
        return [(ready - child.Executed) / 1e6, cpu / 1e6];
    }
}
