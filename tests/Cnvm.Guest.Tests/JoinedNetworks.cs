namespace Cnvm.Guest.Tests;

/// <summary>
/// Two parts of a network, each with a switch and a TAP interface tap0 of its own in a namespace of its own, joined by a cable, and a third party at
/// the switch of the first one.
/// </summary>
internal sealed class JoinedNetworks : IAsyncDisposable
{
    public const string ThirdAddress = "192.168.249.1";
    public const string GuestAddress = "192.168.249.2";

    /// <summary>Value of --net.</summary>
    public const string Net = "tap=tap0,mac=52:54:00:12:34:58";

    /// <summary>In the guest, as often as one likes.</summary>
    public const string SetUpGuest =
        $"ip address show dev eth0 | grep -q {GuestAddress}/ || {{ ip address add {GuestAddress}/24 dev eth0 && ip link set eth0 up && ping -c 1 -W 60 {ThirdAddress} >/dev/null; }}";

    private JoinedNetworks(NetworkNamespace here, NetworkNamespace there, NetworkNamespace third)
    {
        Here = here;
        There = there;
        Third = third;
    }

    public NetworkNamespace Here { get; private set; }

    public NetworkNamespace There { get; private set; }

    public NetworkNamespace Third { get; }

    public static async Task<JoinedNetworks> CreateAsync(GuestHost host)
    {
        var networks = new JoinedNetworks(
            await NetworkNamespace.CreateAsync(host), await NetworkNamespace.CreateAsync(host), await NetworkNamespace.CreateAsync(host));
        try
        {
            await networks.JoinAsync();
            return networks;
        }
        catch
        {
            await networks.DisposeAsync();
            throw;
        }
    }

    /// <summary>The guest has gone from here to there, which is here from now on.</summary>
    public void Turn() => (Here, There) = (There, Here);

    public async ValueTask DisposeAsync()
    {
        await Third.DisposeAsync();
        await There.DisposeAsync();
        await Here.DisposeAsync();
    }

    private async Task JoinAsync()
    {
        foreach (NetworkNamespace part in (NetworkNamespace[])[Here, There])
        {
            await part.RunAsync("ip link add br0 type bridge && ip link set br0 up && ip tuntap add dev tap0 mode tap && ip link set tap0 master br0 up");
        }

        await Here.RunAsync($"ip link add cable type veth peer name cable netns {There.Name} && ip link set cable master br0 up");
        await There.RunAsync("ip link set cable master br0 up");
        await Here.RunAsync($"ip link add toward type veth peer name eth0 netns {Third.Name} && ip link set toward master br0 up");
        await Third.RunAsync($"ip address add {ThirdAddress}/24 dev eth0 && ip link set eth0 up");
    }
}
