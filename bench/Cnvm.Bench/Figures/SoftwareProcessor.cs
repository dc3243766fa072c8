using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The software vCPU against QEMU's translator: one guest is booted on each, and its shell runs what users of a processor do. Needs no
/// KVM. Each command is short; a busy host makes all of them longer, on both sides.
/// </summary>
internal sealed class SoftwareProcessor(Workspace workspace) : Experiment
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(3);
    private static readonly (Measure Measure, string Command)[] Work =
    [
        (new("soft-shell-loop", "ms", "50000 rounds of a loop in the guest's shell"), "i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done"),
        (new("soft-md5sum-32m", "ms", "md5sum of 32 MiB"), "dd if=/dev/zero bs=1M count=32 2>/dev/null | md5sum >/dev/null"),
        (new("soft-gzip-16m", "ms", "gzip of 16 MiB, 8 copies of a program"), "for i in 1 2 3 4 5 6 7 8; do head -c 2M /bin/busybox; done | gzip >/dev/null"),
        (new("soft-fork-exec-300", "ms", "300 times fork, exec and wait"), "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i + 1)); done"),
        (new("soft-syscalls-400k", "ms", "400000 system calls: dd of 200000 single bytes"), "dd if=/dev/zero of=/dev/null bs=1 count=200000 2>/dev/null"),
    ];

    private readonly Vmm[] _machines = [CnvmVmm.Soft, QemuVmm.Tcg];

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("soft-userspace", "ms", "program start to init of the small kernel"),
        .. Work.Select(w => w.Measure),
        new("soft-idle-cpu", "%", "processor time of a guest that waits at its shell, of one processor"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 3;

    protected override double[] Sample(string side)
    {
        using ShellGuest guest = ShellGuest.Boot(_machines.First(m => m.Name == side), workspace, Limit);
        double[] times = [.. Work.Select(w => guest.Time(w.Command))];
        return [guest.BootMilliseconds, .. times, guest.IdlePercent(IdleTime)];
    }
}
