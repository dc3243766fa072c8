using System.Net.Sockets;
using System.Text;

namespace Cnvm.Nested.Tests;

public sealed class NestedHostTests(OneHost fixture) : IClassFixture<OneHost>
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private readonly NestedHost _host = fixture.Host;

    [Fact]
    public async Task GivesExitCodeAndBothOutputs()
    {
        var result = await _host.RunAsync("echo to output; echo to error >&2; exit 7", Patience);

        Assert.Equal((7, "to output\n", "to error\n"), (result.ExitCode, result.Output, result.Error));
        Assert.Contains("to error", Assert.Throws<NestedHostException>(result.OrThrow).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PassesInputAndOddCharactersThrough()
    {
        const string Odd = "it's \"$HOME\" `id` \\ ü";

        Assert.Equal(Odd, (await _host.RunAsync("cat", Patience, Odd)).Output);
        Assert.Equal(Odd, (await _host.RunAsync($"printf %s {Shell.Quote(Odd)}", Patience)).Output);
    }

    [Fact]
    public async Task HasKvmWithHardwareVirtualisation()
    {
        var result = await _host.RunAsync("grep -ow svm /proc/cpuinfo | head -n1; test -c /dev/kvm && test -c /dev/net/tun", Patience);

        Assert.Equal((0, "svm\n"), (result.ExitCode, result.Output));
    }

    [Fact]
    public async Task KeepsTheBuildMachineAsItIs()
    {
        var path = Path.Combine(Repository.Root, "written-in-the-nested-host");

        (await _host.RunAsync($"echo x >{Shell.Quote(path)} && test -s {Shell.Quote(path)}", Patience)).OrThrow();

        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task SharesADirectoryBothWays()
    {
        var here = Path.Combine(fixture.Shared, "from-here");
        var there = Path.Combine(fixture.Shared, "from-there");
        await File.WriteAllTextAsync(here, "one");

        Assert.Equal("one", (await _host.RunAsync($"cat {here}; printf two >{there}", Patience)).OrThrow().Output);
        Assert.Equal("two", await File.ReadAllTextAsync(there));
    }

    [Fact]
    public async Task ShowsADiskWhoseWritesAreThrownAway()
    {
        const string Command = "od -An -tu1 -N4 /dev/vda; dd if=/dev/zero of=/dev/vda bs=4096 count=1 conv=fsync 2>/dev/null; od -An -tu1 -N4 /dev/vda";

        var lines = (await _host.RunAsync(Command, Patience)).OrThrow().Output.Split('\n');

        Assert.Equal(["0", "7", "14", "21"], lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(["0", "0", "0", "0"], lines[1].Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task KillsWhatTakesTooLong()
    {
        await Assert.ThrowsAsync<TimeoutException>(() => _host.RunAsync("sleep 4321 & sleep 4321", TimeSpan.FromSeconds(5)));

        Assert.Equal(1, (await _host.RunAsync("pgrep -x sleep -a | grep 4321", Patience)).ExitCode);
    }

    [Fact]
    public async Task TalksToAProcessOnATerminal()
    {
        await using var shell = await _host.StartProcessAsync("exec bash --norc -i", terminal: true);

        await shell.WriteAsync("tty; stty size; echo $((40 + 2))\n");
        await shell.WaitForAsync("/dev/pts/", Patience);
        await shell.WaitForAsync("42", Patience);
        await shell.WriteAsync("exit 3\n");

        Assert.Equal(3, await shell.WaitForExitAsync(Patience));
    }

    [Fact]
    public async Task SaysWhatWasThereWhenTheTextNeverComes()
    {
        await using var process = await _host.StartProcessAsync("echo something else");

        var e = await Assert.ThrowsAsync<NestedHostException>(() => process.WaitForAsync("never", Patience));

        Assert.Contains("something else", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(7001)]
    [InlineData(7002)]
    public async Task ForwardsPorts(int port)
    {
        await using var server = await _host.StartProcessAsync($"exec socat -t 100 -d -d TCP-LISTEN:{port},reuseaddr,fork SYSTEM:'rev'");
        await server.WaitForAsync("listening on", Patience);

        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", await _host.ForwardAsync(port));

        Assert.Equal("cba\n", await ExchangeAsync(client.Client, "abc\n"));
    }

    [Fact]
    public async Task ForwardsUnixSockets()
    {
        await using var server = await _host.StartProcessAsync("exec socat -t 100 -d -d UNIX-LISTEN:/run/echo.sock,fork SYSTEM:'rev'");
        await server.WaitForAsync("listening on", Patience);
        var path = await _host.ForwardUnixAsync("/run/echo.sock");

        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(path));

        Assert.Equal("zyx\n", await ExchangeAsync(client, "xyz\n"));
    }

    [Fact]
    public async Task LetsNothingOut()
    {
        // There is no route beyond the host's own network, and QEMU would not carry it anyway.
        var result = await _host.RunAsync("ip route add default via 10.0.2.2; ping -c1 -W2 192.0.2.1", Patience);

        Assert.NotEqual(0, result.ExitCode);
    }

    private static async Task<string> ExchangeAsync(Socket socket, string request)
    {
        using var reader = new StreamReader(new NetworkStream(socket));
        await socket.SendAsync(Encoding.ASCII.GetBytes(request));
        socket.Shutdown(SocketShutdown.Send);
        return await reader.ReadToEndAsync().WaitAsync(Patience);
    }
}
