using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// A Linux guest of 1 GiB, half of it in use, moves over TCP on loopback to another process of the same program: once while it waits at its
/// shell, then back into a third process while it writes to its memory at a steady rate. cnvm's software vCPU and QEMU's translator, so that it
/// needs no KVM.
/// </summary>
internal sealed class MigrateGuest(Workspace workspace) : Experiment
{
    private const int MemoryMiB = 1024;
    private const int FillMiB = 512;
    private const int DowntimeMilliseconds = 50;

    // The guest writes so much at once, at one of these places in turn, and then sleeps.
    private const int StepMiB = 2;
    private const int Places = 16;
    private const int SleepMicroseconds = 30_000;
    private const string Seed = "/tmp/seed";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);
    internal static readonly string Fill = string.Create(
        CultureInfo.InvariantCulture,
        $"mount -o remount,size=95% /tmp; dd if=/dev/urandom of={Seed} bs=64k count={StepMiB * 16} 2>/dev/null; "
        + $"i=0; while [ $i -lt {FillMiB / StepMiB} ]; do cat {Seed}; i=$((i + 1)); done >/tmp/fill; "
        + $"i=0; while [ $i -lt {Places} ]; do cat {Seed}; i=$((i + 1)); done >/tmp/busy; echo 0 >/tmp/steps");

    private static readonly string Write = string.Create(
        CultureInfo.InvariantCulture,
        $"(i=0; while usleep {SleepMicroseconds}; do dd if={Seed} of=/tmp/busy bs=64k seek=$((i % {Places} * {StepMiB * 16})) conv=notrunc 2>/dev/null; "
        + $"i=$((i + 1)); echo $i >/tmp/steps; done) >/dev/null 2>&1 & ");

    private readonly Vmm[] _machines = [CnvmVmm.Soft, QemuVmm.Tcg];
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("migrate-idle-1g-total", "ms", "an idle guest of 1 GiB moves on loopback, elapsed (software vCPU against QEMU's translator)"),
        new("migrate-idle-1g-downtime", "ms", $"it stands still meanwhile; {DowntimeMilliseconds} ms are allowed"),
        new("migrate-busy-1g-total", "ms", "the same guest while it writes to its memory at a steady rate"),
        new("migrate-busy-1g-downtime", "ms", $"it stands still meanwhile; {DowntimeMilliseconds} ms are allowed"),
        new("migrate-busy-1g-resent", "B/B", "bytes sent beyond those of the idle guest, for each byte that it wrote meanwhile"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 3;

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        string socket = Socket();
        using ShellGuest guest = ShellGuest.Boot(machine, workspace, Limit, p => p with { Memory = MemoryMiB, ControlSocket = socket });
        guest.Ask(Fill + "; echo filled");
        (MoveResult idle, socket) = Move(machine, guest, socket);
        guest.Ask(Write + "until [ $(cat /tmp/steps) -ge 8 ]; do usleep 10000; done; echo begun");
        double before = Steps(guest);
        (MoveResult busy, _) = Move(machine, guest, socket);
        double written = (Steps(guest) - before) * StepMiB * (1 << 20);
        return
        [
            idle.TotalMilliseconds,
            idle.DowntimeMilliseconds,
            busy.TotalMilliseconds,
            busy.DowntimeMilliseconds,
            Math.Max(busy.Bytes - idle.Bytes, 0) / Math.Max(written, 1),
        ];
    }

    private static double Steps(ShellGuest guest) => double.Parse(guest.Ask("cat /tmp/steps"), CultureInfo.InvariantCulture);

    /// <summary>A port of loopback that is free.</summary>
    internal static string FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return $"tcp:127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";
    }

    private (MoveResult Result, string Socket) Move(Vmm machine, ShellGuest guest, string from)
    {
        string socket = Socket();
        string url = FreeUrl();
        Child target = machine.Start(workspace, guest.Plan with { ControlSocket = socket, Arrives = true }, Limit);
        try
        {
            using MigrationControl receiver = MigrationControl.Connect(machine, target, socket);
            using MigrationControl sender = MigrationControl.Connect(machine, guest.Process, from);
            receiver.Receive(url);
            MoveResult result = sender.Send(url, DowntimeMilliseconds);
            guest.Follow(target);
            guest.Ask("echo here");
            return (result, socket);
        }
        catch
        {
            target.Dispose();
            throw;
        }
    }

    private string Socket() => workspace.File($"migrate-{_count++}");
}
