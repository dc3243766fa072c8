namespace Cnvm.Bench.Machines;

/// <summary>bench/peers/kvm_loop.c: the least that a VMM can do.</summary>
internal sealed class BareLoop() : Vmm("bare-c")
{
    public override string MemoryName => throw new UnavailableException("the bare loop has no named memory");

    public override string DiskAddress => throw new UnavailableException("the bare loop has no devices");

    public override string Program(Workspace workspace) => workspace.Compile("kvm_loop");

    public override IReadOnlyList<string> Arguments(GuestPlan plan) =>
        plan is { Kernel: { } kernel, Initramfs: null, Disk: null, Tap: null, ControlSocket: null }
            ? [kernel, plan.CommandLine, $"{plan.Memory}"]
            : throw new UnavailableException("the bare loop has no devices");
}
