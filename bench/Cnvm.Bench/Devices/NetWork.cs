using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Devices;

/// <summary>
/// Traffic between a guest and a program at the other end of its TAP, in a network namespace. No vhost on either side: QEMU and cnvm serve
/// the queues themselves.
/// </summary>
internal sealed class NetWork(Workspace workspace, bool isNested) : DeviceExperiment(workspace, isNested)
{
    private const int Port = 5001;

    public override IReadOnlyList<Measure> Measures =>
    [
        new(Prefix + "net-tcp-send", "MiB/s", $"Linux guest, virtio-net: one TCP connection to the host {Where}", HigherIsBetter: true),
        new(Prefix + "net-tcp-receive", "MiB/s", $"Linux guest, virtio-net: one TCP connection from the host {Where}", HigherIsBetter: true),
        new(Prefix + "net-udp-send", "pps", $"Linux guest, virtio-net: packets of 32 bytes that reach the host, in a second {Where}", HigherIsBetter: true),
        new(Prefix + "net-udp-receive", "pps", $"Linux guest, virtio-net: packets of 32 bytes that reach the guest, in a second {Where}", HigherIsBetter: true),
    ];

    /// <summary>Where streams are served.</summary>
    internal static string StreamAddress { get; } = $"tcp:{DeviceHost.Address}:{Port}";

    protected override Task PrepareAsync(DeviceHost host) => PrepareNetworkAsync(host);

    protected override GuestPlan Plan(DeviceHost host, string side) => new() { Tap = DeviceHost.Tap };

    protected override async Task<double[]> WorkAsync(DeviceGuest guest, string side)
    {
        await ConfigureAsync(guest);
        (double sent, double received) = await StreamAsync(guest, StreamAddress);
        WorkResult send = await guest.WorkAsync($"packets send {DeviceHost.Address}:{Port} {WorkMilliseconds}");
        WorkResult receive = await guest.WorkAsync($"packets receive {DeviceHost.Address}:{Port} {WorkMilliseconds}");
        return [sent, received, send.Rate, receive.Rate];
    }

    /// <summary>Makes the namespace, with somebody in it who takes and gives.</summary>
    internal static async Task PrepareNetworkAsync(DeviceHost host)
    {
        await host.MakeSpaceAsync();
        await host.ServeAsync($"tcp:0.0.0.0:{Port}", isInSpace: true);
        await host.ServeAsync($"udp:0.0.0.0:{Port}", isInSpace: true);
    }

    internal static Task ConfigureAsync(DeviceGuest guest) => guest.RunAsync(
        $"ip address add {DeviceHost.GuestAddress}/24 dev eth0 && ip link set eth0 up && ping -c 1 -W 20 {DeviceHost.Address} >/dev/null");

    /// <summary>MiB/s of a connection to the host, then of one from it.</summary>
    internal static async Task<(double Sent, double Received)> StreamAsync(DeviceGuest guest, string address)
    {
        WorkResult sent = await guest.WorkAsync($"stream send {address} {WorkMilliseconds}");
        WorkResult received = await guest.WorkAsync($"stream receive {address} {WorkMilliseconds}");
        return (sent.MiBPerSecond, received.MiBPerSecond);
    }
}
