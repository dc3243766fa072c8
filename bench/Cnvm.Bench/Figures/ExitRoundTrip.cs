using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The round trip of an exit that the VMM handles: the guest's instruction, KVM, the VMM's loop and back. Two guests that differ only
/// in how often they do it are run, and the difference is divided, so that start and end cancel out.
/// </summary>
internal sealed class ExitRoundTrip(Workspace workspace, string name, string what, Func<int, string> commandLine) : Experiment
{
    private const int Few = 2_000;
    private const int Many = 52_000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly Vmm[] _machines = [new CnvmVmm(), new BareLoop(), QemuVmm.Microvm];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new(name + "-cpu", "ns", what + ", processor time of the VMM (which is the elapsed time on an idle host)"),
        new(name + "-wall", "ns", what + ", elapsed"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        (long fewCpu, long fewWall) = Run(machine, Few);
        (long manyCpu, long manyWall) = Run(machine, Many);
        return [(manyCpu - fewCpu) / (double)(Many - Few), (manyWall - fewWall) / (double)(Many - Few)];
    }

    private (long Cpu, long Wall) Run(Vmm machine, int count)
    {
        var plan = new GuestPlan { Kernel = workspace.Image(Payload.Image), CommandLine = commandLine(count) };
        using Child child = machine.Start(workspace, plan, Limit);
        long begin = child.WaitFor(Payload.ReadyText);
        long beginCpu = child.ProcessorTime;
        long end = child.WaitFor(Payload.DoneText);
        return (child.ProcessorTime - beginCpu, end - begin);
    }
}
