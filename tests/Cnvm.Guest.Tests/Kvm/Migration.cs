using System.Net;
using System.Net.Sockets;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed partial class Migration(NestedHostFixture fixture, ITestOutputHelper output) : MigrationTests(fixture, output)
{
    private GuestHost? _outside;

    protected override bool IsQuick => false;

    // An emulated processor that has to wait for a real one: guests say so now and then, also without a move.
    protected override bool HasSteadyClocks => false;

    private const int PortIn = 7100;
    private const int PortOut = 7101;
    private const int PortOver = 7102;
    private const int PortFree = 7103;
    private const int SoakRounds = 15;

    /// <summary>Inside the host: joins a connection to one port with one to the other.</summary>
    private const string Relay =
        """
        perl -MIO::Socket::INET -MIO::Select -e '
            my @l = map { IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => "0.0.0.0:$_") or die "$_: $!" } @ARGV;
            $| = 1; print "CNVM-RELAY-READY\n";
            my @c = map { scalar $_->accept } @l; my $s = IO::Select->new(@c);
            while ($s->count == 2) { for my $f ($s->can_read) { my $t = $f == $c[0] ? $c[1] : $c[0];
                my $n = sysread $f, my $b, 1 << 18; if (!$n) { exit } my $o = 0; while ($o < $n) { my $w = syswrite $t, $b, $n - $o, $o; exit unless $w; $o += $w } } }'
        """;

    /// <summary>From kvm_amd in the nested host to this machine's software vCPU and back again, over TCP.</summary>
    [GuestFact]
    public async Task A_busy_guest_moves_between_kvm_and_the_software_vcpu()
    {
        for (int round = 0; round < (Soak.IsOn ? SoakRounds : 1); round++)
        {
            // Not saved and restored before: what a machine is like that KVM has run from its first instruction on is to be seen, too.
            GuestVm guest = await GuestVm.BootAsync(Host, new GuestSetup { CpuKeys = ",profile=x86-64-v2", Cpus = 2, Pulses = round % 2 != 0 });
            try
            {
                await GuestLoad.StartAsync(guest);
                string complaints = await guest.AskAsync(Complaints);
                guest = await GoAsync(guest, MoveOutAsync);
                await GuestLoad.AssertGoesOnAsync(guest, 2);

                // The guest's TSC is still that of the host it came from.
                guest = await GoAsync(guest, MoveInAsync);
                await GuestLoad.AssertGoesOnAsync(guest, 2);
                await AssertNoComplaintAsync(guest, complaints);
                await guest.PowerOffAsync();
            }
            finally
            {
                await guest.DisposeAsync();
            }
        }
    }

    protected override string FreeUrl() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"tcp:127.0.0.1:{PortFree}");

    protected override GuestHost Outside => _outside ??= new GuestHost(
        new LocalHost(), "soft", "", fixture.SharedDirectory, Environment.IsPrivilegedProcess, IsAlone: false);

    private protected override IReadOnlyList<Way> Ways =>
    [
        .. base.Ways,
        new("kvm to soft", StaysOnHost: false, MoveOutAsync),
        new("soft to soft", StaysOnHost: true, g => MoveOnAsync(g, Outside)),
        new("soft to kvm", StaysOnHost: false, MoveInAsync),
    ];

    // Both hypervisors run in the host, which has the network.
    private protected override IReadOnlyList<string> Hypervisors => ["kvm", "soft", "soft", "kvm"];

    /// <summary>To a target outside: the source connects to the relay inside, and what it says is carried on from there.</summary>
    private async Task<GuestVm> MoveOutAsync(GuestVm source)
    {
        await using HostProcess relay = await Host.StartAsync(
            string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Relay.ReplaceLineEndings(" ")} {PortOut} {PortOver}"));
        await relay.WaitForAsync("CNVM-RELAY-READY", GuestVm.Patience);
        int forwarded = await ((NestedHost)Host.Commands).ForwardAsync(PortOver);
        int free = FreePort();
        return await MoveAsync(source, Outside, $"tcp:127.0.0.1:{free}", $"tcp:127.0.0.1:{PortOut}", () => CarryAsync(forwarded, free));
    }

    /// <summary>To a target inside, straight through a forwarded port.</summary>
    private async Task<GuestVm> MoveInAsync(GuestVm source) => await MoveAsync(
        source, Host, $"tcp:0.0.0.0:{PortIn}", $"tcp:127.0.0.1:{await ((NestedHost)Host.Commands).ForwardAsync(PortIn)}", () => Task.CompletedTask);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Carries bytes between two ports of this machine, from the first byte of the first one on.</summary>
    private static async Task CarryAsync(int from, int to)
    {
        using var source = new TcpClient();
        await source.ConnectAsync(IPAddress.Loopback, from);
        byte[] first = new byte[1];
        await source.GetStream().ReadExactlyAsync(first);
        using var target = new TcpClient();
        await target.ConnectAsync(IPAddress.Loopback, to);
        await target.GetStream().WriteAsync(first);
        Task there = PassAsync(source.GetStream(), target);
        Task back = PassAsync(target.GetStream(), source);
        await Task.WhenAny(there, back);
        source.Close();
        target.Close();
        await Task.WhenAll(there, back);
    }

    private static async Task PassAsync(NetworkStream from, TcpClient to)
    {
        try
        {
            await from.CopyToAsync(to.GetStream());
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The other direction has ended, and with it this one.
            return;
        }
    }
}
