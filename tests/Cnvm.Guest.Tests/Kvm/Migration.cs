using System.Net;
using System.Net.Sockets;
using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Migration(NestedHostFixture fixture, ITestOutputHelper output) : MigrationTests(fixture, output)
{
    protected override bool IsQuick => false;

    // An emulated processor that has to wait for a real one: guests say so now and then, also without a move.
    protected override bool HasSteadyClocks => false;

    private const int PortIn = 7100;
    private const int PortOut = 7101;
    private const int PortOver = 7102;

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

    /// <summary>From this machine's software vCPU to kvm_amd in the nested host and back again, over TCP.</summary>
    [GuestFact]
    public async Task A_busy_guest_moves_between_kvm_and_the_software_vcpu()
    {
        Skip.IfNot(Soak.IsOn, "part of the long form: CNVM_SOAK=1");
        var machine = (NestedHost)Host.Commands;
        using var memory = new TemporaryDirectory(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), "cnvm-guests-");
        var outside = new GuestHost(new LocalHost(), "soft", "", memory.Path, Environment.IsPrivilegedProcess, IsAlone: false);
        await using GuestVm first = await GuestVm.BootAsync(Host, new GuestSetup { CpuKeys = ",profile=x86-64-v2", Cpus = 2 });
        await GuestLoad.StartAsync(first);
        string complaints = await first.AskAsync(Complaints);

        // Out: the source connects to the relay inside, and what it says is carried to the target outside.
        await using HostProcess relay = await Host.StartAsync(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Relay.ReplaceLineEndings(" ")} {PortOut} {PortOver}"));
        await relay.WaitForAsync("CNVM-RELAY-READY", GuestVm.Patience);
        int free = FreePort();
        await using GuestVm second = await GuestVm.StartAsync(outside);
        Task<string> receiving = await BeginReceivingAsync(second, $"tcp:127.0.0.1:{free}");
        Task carrying = CarryAsync(await machine.ForwardAsync(PortOver), free);
        await SendAsync(first, $"tcp:127.0.0.1:{PortOut}");
        await receiving;
        await carrying;
        await first.AssertEndAsync(othersRun: true);
        await GuestLoad.AssertGoesOnAsync(second, 2);

        // In again, straight through a forwarded port; the guest's TSC is still that of the host it came from.
        await using GuestVm third = await GuestVm.StartAsync(Host);
        receiving = await BeginReceivingAsync(third, $"tcp:0.0.0.0:{PortIn}");
        await SendAsync(second, $"tcp:127.0.0.1:{await machine.ForwardAsync(PortIn)}");
        await receiving;
        await second.AssertEndAsync(othersRun: true);
        await GuestLoad.AssertGoesOnAsync(third, 2);
        await AssertNoComplaintAsync(third, complaints);
        await third.PowerOffAsync();
    }

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
