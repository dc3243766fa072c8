using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>A shared folder: cnvm serves it itself, QEMU by virtiofsd as Debian ships it, both with their default caching.</summary>
internal sealed class FolderWork(Workspace workspace, bool isNested) : DeviceExperiment(workspace, isNested)
{
    private const string Server = "/usr/lib/qemu/virtiofsd";
    private const string Tag = "share";
    private const int FileMiB = 64;

    public override IReadOnlyList<Measure> Measures =>
    [
        new(Prefix + "fs-create", "1/s", $"Linux guest, virtio-fs: empty files made in a second {Where}", HigherIsBetter: true),
        new(Prefix + "fs-stat", "1/s", $"Linux guest, virtio-fs: files looked up in a second, none of them known to the guest {Where}", HigherIsBetter: true),
        new(Prefix + "fs-unlink", "1/s", $"Linux guest, virtio-fs: files removed in a second {Where}", HigherIsBetter: true),
        new(Prefix + "fs-read", "MiB/s", $"Linux guest, virtio-fs: a file read from end to end, not in the guest's page cache {Where}", HigherIsBetter: true),
        new(Prefix + "fs-write", "MiB/s", $"Linux guest, virtio-fs: a file written from end to end {Where}", HigherIsBetter: true),
    ];

    protected override Task PrepareAsync(DeviceHost host) =>
        host.RunAsync($"mkdir -p {Folder(host)} && head -c {FileMiB}M /dev/urandom >{Folder(host)}/read");

    protected override GuestPlan Plan(DeviceHost host, string side) =>
        new() { Share = new FolderShare(Tag, Folder(host), Socket(host)), NamedMemory = true };

    protected override async Task<HostProcess?> StartBackendAsync(DeviceHost host, string side)
    {
        if (side != Qemu.Name)
        {
            return null;
        }

        if (!await host.SucceedsAsync($"test -x {Server} && test $(id -u) = 0"))
        {
            throw new UnavailableException($"{Server} is missing, or this is not root, which it needs");
        }

        await host.RunAsync("rm -f " + Socket(host));
        HostProcess server = await host.StartAsync([Server, "--socket-path=" + Socket(host), "-o", "source=" + Folder(host), "-o", "sandbox=chroot", "-f"]);
        try
        {
            await host.RunAsync($"for i in $(seq 200); do [ -S {Socket(host)} ] && exit; sleep 0.05; done; echo virtiofsd does not listen >&2; exit 1");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    protected override async Task<double[]> WorkAsync(DeviceGuest guest, string side)
    {
        await guest.RunAsync($"mkdir /share && mount -t virtiofs {Tag} /share && mkdir -p /share/names");
        WorkResult names = await guest.WorkAsync($"names /share/names {WorkMilliseconds}");
        WorkResult read = await guest.WorkAsync($"file read /share/read {FileMiB} {WorkMilliseconds}");
        WorkResult write = await guest.WorkAsync($"file write /share/written {FileMiB} {WorkMilliseconds}");
        return [names.RateOf("create"), names.RateOf("stat"), names.RateOf("unlink"), read.MiBPerSecond, write.MiBPerSecond];
    }

    private static string Folder(DeviceHost host) => host.Directory + "/share";

    private static string Socket(DeviceHost host) => host.Directory + "/fs.sock";
}
