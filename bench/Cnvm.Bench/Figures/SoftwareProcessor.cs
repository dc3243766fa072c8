using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The software vCPU against QEMU's translator: one guest is booted on each, and its shell runs what users of a processor do. Needs no
/// KVM. Processor time is that of the whole program, so translation is in it.
/// </summary>
internal sealed class SoftwareProcessor(Workspace workspace) : Experiment
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(3);
    private static readonly (Measure Measure, string Command)[] Work =
    [
        (new("soft-shell-loop-cpu", "ms", "50000 rounds of a loop in the guest's shell, processor time"), "i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done"),
        (new("soft-md5sum-32m-cpu", "ms", "md5sum of 32 MiB, processor time"), "dd if=/dev/zero bs=1M count=32 2>/dev/null | md5sum >/dev/null"),
        (new("soft-gzip-16m-cpu", "ms", "gzip of 16 MB, 8 copies of busybox, processor time"), "for i in 1 2 3 4 5 6 7 8; do cat /bin/busybox; done | gzip >/dev/null"),
        (new("soft-fork-exec-300-cpu", "ms", "300 times fork, exec and wait, processor time"), "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i + 1)); done"),
        (new("soft-syscalls-400k-cpu", "ms", "400000 system calls: dd of 200000 single bytes, processor time"), "dd if=/dev/zero of=/dev/null bs=1 count=200000 2>/dev/null"),
    ];

    private readonly Vmm[] _machines = [CnvmVmm.Soft, QemuVmm.Tcg];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("soft-userspace-cpu", "ms", "program start to init of the small kernel, processor time"),
        new("soft-userspace-wall", "ms", "program start to init of the small kernel, elapsed"),
        .. Work.Select(w => w.Measure),
        new("soft-idle-cpu", "%", "processor time of a guest that waits at its shell, of one processor"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 3;

    protected override double[] Sample(string side)
    {
        using ShellGuest guest = ShellGuest.Boot(_machines.First(m => m.Name == side), workspace, Limit);
        double[] times = [.. Work.Select(w => guest.Time(w.Command))];
        return [guest.BootProcessorMilliseconds, guest.BootMilliseconds, .. times, guest.IdlePercent(IdleTime)];
    }
}
