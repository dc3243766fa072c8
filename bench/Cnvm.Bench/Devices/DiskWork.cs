using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Devices;

/// <summary>
/// Requests of a guest's program past its page cache, to a raw and to a qcow2 image with the same content, all of it allocated and in the
/// host's page cache.
/// </summary>
internal sealed class DiskWork(Workspace workspace, bool isNested) : DeviceExperiment(workspace, isNested)
{
    private const int ImageMiB = 64;
    private static readonly (string Format, string Device)[] Images = [("raw", "vda"), ("qcow2", "vdb")];
    private static readonly (string Name, string Arguments, string Unit, string Text)[] Kinds =
    [
        ("read-4k", "read random 4096 16", "IOPS", "random reads of 4 KiB, 16 in flight"),
        ("write-4k", "write random 4096 16", "IOPS", "random writes of 4 KiB, 16 in flight"),
        ("read-128k", "read sequential 131072 8", "MiB/s", "sequential reads of 128 KiB, 8 in flight"),
        ("write-128k", "write sequential 131072 8", "MiB/s", "sequential writes of 128 KiB, 8 in flight"),
    ];

    public override IReadOnlyList<Measure> Measures =>
    [
        .. from image in Images
           from kind in Kinds
           select new Measure($"{Prefix}blk-{image.Format}-{kind.Name}", kind.Unit, $"Linux guest, virtio-blk on {image.Format}: {kind.Text} {Where}", HigherIsBetter: true),
    ];

    protected override Task PrepareAsync(DeviceHost host) => host.RunAsync(
        $"cd {host.Directory} && head -c {ImageMiB}M /dev/urandom >raw && qemu-img convert -f raw -O qcow2 raw qcow2");

    protected override GuestPlan Plan(DeviceHost host, string side) => new() { Disk = host.Directory + "/raw", Qcow2 = host.Directory + "/qcow2" };

    protected override async Task<double[]> WorkAsync(DeviceGuest guest, string side)
    {
        var values = new List<double>();
        foreach ((_, string device) in Images)
        {
            foreach (var kind in Kinds)
            {
                WorkResult result = await guest.WorkAsync($"block /dev/{device} {kind.Arguments} {WorkMilliseconds}");
                values.Add(kind.Unit == "IOPS" ? result.Rate : result.MiBPerSecond);
            }
        }

        return [.. values];
    }
}
