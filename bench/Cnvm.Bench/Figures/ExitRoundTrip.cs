using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The round trip of an exit that the VMM handles: the guest's instruction, KVM, the VMM's loop and back. The elapsed time is taken by
/// the guest. The processor time is the difference between two guests that differ only in how often they do it.
/// </summary>
internal sealed class ExitRoundTrip(Workspace workspace) : Experiment
{
    private const int Few = 100;
    private const int Many = 50_100;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly Vmm[] _machines = [new CnvmVmm(), new BareLoop(), QemuVmm.Microvm, QemuVmm.Q35];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("pio-exit-wall", "ns", "round trip of a port write, elapsed"),
        new("pio-exit-cpu", "ns", "round trip of a port write, processor time of VMM and guest (on an idle host the same)"),
        new("mmio-exit-wall", "ns", "round trip of a memory-mapped write, elapsed"),
        new("mmio-exit-cpu", "ns", "round trip of a memory-mapped write, processor time of VMM and guest"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        Times few = Run(machine, Few);
        Times many = Run(machine, Many);
        const double Difference = Many - Few;
        return
        [
            many.PortWall / Many,
            (many.PortCpu - few.PortCpu) / Difference,
            many.MmioWall / Many,
            (many.MmioCpu - few.MmioCpu) / Difference,
        ];
    }

    private Times Run(Vmm machine, int count)
    {
        var plan = new GuestPlan { Kernel = workspace.Image(Payload.Image), CommandLine = Payload.Writes(count) };
        using Child child = machine.Start(workspace, plan, Limit);
        double port = Payload.WaitForResult(child)["cycles"] / workspace.CyclesPerNanosecond;
        long portCpu = child.ProcessorTime;
        double mmio = Payload.WaitForResult(child)["cycles"] / workspace.CyclesPerNanosecond;
        return new Times(port, portCpu, mmio, child.ProcessorTime - portCpu);
    }

    /// <summary>Nanoseconds that a guest took; the processor time of port writes holds the guest's start too.</summary>
    private readonly record struct Times(double PortWall, double PortCpu, double MmioWall, double MmioCpu);
}
