using System.Security.Cryptography;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// Reads through a virtio disk by the payload's polling driver, in the guest's own time. One raw file for all, in the host's page cache:
/// what is compared is the way through the VMM. What arrives is checked by a sum.
/// </summary>
internal sealed class DiskRead(Workspace workspace, Measure measure, int size, int requests, int depth, bool random) : Experiment
{
    private const int DiskMiB = 128;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly Vmm[] _machines = [new CnvmVmm(), QemuVmm.Q35, QemuVmm.Microvm];
    private ulong? _sum;

    public override IReadOnlyList<Measure> Measures { get; } = [measure];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    private string Disk => workspace.File("disk.raw");

    protected override void SetUp()
    {
        if (File.Exists(Disk))
        {
            return;
        }

        using FileStream file = File.Create(Disk);
        byte[] block = new byte[1 << 20];
        for (int i = 0; i < DiskMiB; i++)
        {
            RandomNumberGenerator.Fill(block);
            file.Write(block);
        }
    }

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        var plan = new GuestPlan
        {
            Kernel = workspace.Image(Payload.Image),
            CommandLine = Payload.DiskReads(machine.DiskAddress, requests, size, depth, random),
            Disk = Disk,
        };
        using Child child = machine.Start(workspace, plan, Limit);
        IReadOnlyDictionary<string, ulong> result = Payload.WaitForResult(child);
        _sum ??= result["sum"];
        if (result["sum"] != _sum)
        {
            throw new MeasurementException($"{side} read other data than the side before it: sum {result["sum"]} instead of {_sum}");
        }

        double seconds = result["cycles"] / workspace.CyclesPerNanosecond / 1e9;
        return [measure.Unit == "IOPS" ? requests / seconds : (double)requests * size / (1 << 20) / seconds];
    }
}
