using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>
/// A stream through virtio-vsock: cnvm's ends at a Unix socket of the host, QEMU's at the host's own vsock, for which the host's kernel
/// needs vhost_vsock. Beside them TCP through cnvm's own virtio-net.
/// </summary>
internal sealed class VsockWork(Workspace workspace, bool isNested) : DeviceExperiment(workspace, isNested)
{
    private const int Port = 5001;
    private const string KernelDevice = "/dev/vhost-vsock";

    public override IReadOnlyList<Measure> Measures =>
    [
        new(Prefix + "vsock-send", "MiB/s", $"Linux guest, virtio-vsock: one stream to the host {Where}", HigherIsBetter: true),
        new(Prefix + "vsock-receive", "MiB/s", $"Linux guest, virtio-vsock: one stream from the host {Where}", HigherIsBetter: true),
    ];

    public override IReadOnlyList<string> Sides => [Cnvm.Name, Qemu.Name, TcpSide];

    private string TcpSide => Cnvm.Name + "-tcp";

    protected override async Task PrepareAsync(DeviceHost host)
    {
        await NetWork.PrepareNetworkAsync(host);
        await host.ServeAsync($"unix:{Socket(host)}_{Port}");
        if (await HasKernelDeviceAsync(host))
        {
            await host.ServeAsync($"vsock:{uint.MaxValue}:{Port}");
        }
    }

    protected override GuestPlan Plan(DeviceHost host, string side) =>
        side == TcpSide ? new() { Tap = DeviceHost.Tap } : new() { VsockSocket = Socket(host) };

    protected override async Task<HostProcess?> StartBackendAsync(DeviceHost host, string side) =>
        side != Qemu.Name || await HasKernelDeviceAsync(host)
            ? null
            : throw new UnavailableException($"the host's kernel has no {KernelDevice}, which QEMU's device needs");

    protected override async Task<double[]> WorkAsync(DeviceGuest guest, string side)
    {
        if (side == TcpSide)
        {
            await NetWork.ConfigureAsync(guest);
        }

        (double sent, double received) = await NetWork.StreamAsync(guest, side == TcpSide ? NetWork.StreamAddress : $"vsock:2:{Port}");
        return [sent, received];
    }

    private static Task<bool> HasKernelDeviceAsync(DeviceHost host) => host.SucceedsAsync($"test -c {KernelDevice}");

    private static string Socket(DeviceHost host) => host.Directory + "/vsock";
}
