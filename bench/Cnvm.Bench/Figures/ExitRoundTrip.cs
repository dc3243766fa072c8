using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The round trip of an exit that the VMM handles: the guest's instruction, KVM, the VMM's loop and back. The elapsed time is taken by
/// the guest; for the processor time two guests that differ only in how often they do it are run, so that their start cancels out.
/// </summary>
internal sealed class ExitRoundTrip(Workspace workspace, string name, string what, Func<int, string> commandLine) : Experiment
{
    private const int Few = 100;
    private const int Many = 50_100;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly Vmm[] _machines = [new CnvmVmm(), new BareLoop(), QemuVmm.Microvm, QemuVmm.Q35];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new(name + "-cpu", "ns", what + ", processor time of the VMM with its guest"),
        new(name + "-wall", "ns", what + ", elapsed; the same as the processor time on an idle host"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        (double fewCpu, _) = Run(machine, Few);
        (double manyCpu, double wall) = Run(machine, Many);
        return [(manyCpu - fewCpu) / (Many - Few), wall / Many];
    }

    /// <summary>Processor time until the work is done and elapsed time of the work alone, in nanoseconds.</summary>
    private (double Cpu, double Wall) Run(Vmm machine, int count)
    {
        var plan = new GuestPlan { Kernel = workspace.Image(Payload.Image), CommandLine = commandLine(count) };
        using Child child = machine.Start(workspace, plan, Limit);
        IReadOnlyDictionary<string, ulong> result = Payload.WaitForResult(child);
        return (child.ProcessorTime, result["cycles"] / workspace.CyclesPerNanosecond);
    }
}
