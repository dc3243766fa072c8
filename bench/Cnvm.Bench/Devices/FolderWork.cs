using System.Globalization;
using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>A shared folder: cnvm serves it itself, QEMU by virtiofsd as Debian ships it, both with their default caching.</summary>
internal sealed class FolderWork(Workspace workspace, bool isNested) : DeviceExperiment(workspace, isNested)
{
    private const string Server = "/usr/lib/qemu/virtiofsd";
    private const string Tag = "share";
    private const int FileMiB = 64;
    private int _count;

    public override IReadOnlyList<Measure> Measures =>
    [
        new(Prefix + "fs-create", "1/s", $"Linux guest, virtio-fs: empty files made in a second {Where}", HigherIsBetter: true),
        new(Prefix + "fs-stat", "1/s", $"Linux guest, virtio-fs: files looked up in a second, none of them known to the guest {Where}", HigherIsBetter: true),
        new(Prefix + "fs-unlink", "1/s", $"Linux guest, virtio-fs: files removed in a second {Where}", HigherIsBetter: true),
        new(Prefix + "fs-read", "MiB/s", $"Linux guest, virtio-fs: a file read from end to end, not in the guest's page cache {Where}", HigherIsBetter: true),
        new(Prefix + "fs-write", "MiB/s", $"Linux guest, virtio-fs: a file written from end to end {Where}", HigherIsBetter: true),
    ];

    protected override Task PrepareAsync(DeviceHost host) =>
        host.RunAsync($"mkdir -p {host.Directory}/share && head -c {FileMiB}M /dev/urandom >{host.Directory}/share/read");

    protected override async Task<double[]> MeasureAsync(DeviceHost host, string side)
    {
        var share = new FolderShare(Tag, host.Directory + "/share", string.Create(CultureInfo.InvariantCulture, $"{host.Directory}/fs-{_count++}"));
        Vmm machine = Machine(side);
        await using HostProcess? server = machine == Qemu ? await StartServerAsync(host, share) : null;
        await using DeviceGuest guest = await BootAsync(host, machine, new GuestPlan { Share = share, NamedMemory = true });
        await guest.RunAsync($"mkdir /share && mount -t virtiofs {Tag} /share && mkdir -p /share/names");
        WorkResult names = await guest.WorkAsync($"names /share/names {WorkMilliseconds}");
        WorkResult read = await guest.WorkAsync($"file read /share/read {FileMiB} {WorkMilliseconds}");
        WorkResult write = await guest.WorkAsync($"file write /share/written {FileMiB} {WorkMilliseconds}");
        return [names.RateOf("create"), names.RateOf("stat"), names.RateOf("unlink"), read.MiBPerSecond, write.MiBPerSecond];
    }

    private static async Task<HostProcess> StartServerAsync(DeviceHost host, FolderShare share)
    {
        if (!await host.SucceedsAsync($"test -x {Server} && test $(id -u) = 0"))
        {
            throw new UnavailableException($"{Server} is missing, or this is not root, which it needs");
        }

        HostProcess server = await host.StartAsync([Server, "--socket-path=" + share.Socket, "-o", "source=" + share.Folder, "-o", "sandbox=chroot", "-f"]);
        try
        {
            await host.RunAsync($"for i in $(seq 200); do [ -S {share.Socket} ] && exit; sleep 0.05; done; echo virtiofsd does not listen >&2; exit 1");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }
}
