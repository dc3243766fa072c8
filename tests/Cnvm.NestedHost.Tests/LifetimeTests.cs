using System.Diagnostics;

namespace Cnvm.Nested.Tests;

public sealed class LifetimeTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(180);

    [Fact]
    public async Task TwoHostsReachEachOther()
    {
        using var cable = new NestedHostLink();
        var both = await Task.WhenAll(
            NestedHost.StartAsync(new NestedHostOptions { Link = cable.First, MemoryMiB = 512, Cpus = 1 }),
            NestedHost.StartAsync(new NestedHostOptions { Link = cable.Second, MemoryMiB = 512, Cpus = 1 }));
        await using var first = both[0];
        await using var second = both[1];

        await using var receiver = await second.StartProcessAsync("socat -d -d -u TCP-LISTEN:9,reuseaddr STDOUT | sha256sum");
        await receiver.WaitForAsync("listening on", Patience);
        var sent = await first.RunAsync(
            $"set -o pipefail; seq 1 300000 | tee >(socat -u STDIN TCP:{cable.Second.Address}:9) | sha256sum", Patience);

        await receiver.WaitForAsync(sent.OrThrow().Output.Trim(), Patience);
    }

    [Fact]
    public async Task DisposingLeavesNothing()
    {
        var host = await NestedHost.StartAsync(new NestedHostOptions { MemoryMiB = 512, Cpus = 1 });
        var (process, console) = (host.ProcessId, host.ConsoleFile);
        Assert.True(Directory.Exists($"/proc/{process}"));

        await host.DisposeAsync();

        Assert.False(Directory.Exists($"/proc/{process}"));
        Assert.False(Directory.Exists(Path.GetDirectoryName(console)));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => host.RunAsync("true"));
    }

    [Fact]
    public async Task QemuDiesWithItsStarterEvenWhenThatIsKilled()
    {
        var program = Path.Combine(AppContext.BaseDirectory, "cnvm-nested-host");
        using var starter = Process.Start(new ProcessStartInfo(program, ["--memory", "512", "--cpus", "1", "--", "sleep", "1000"])
        {
            RedirectStandardError = true,
            RedirectStandardInput = true,
        })!;
        await starter.StandardError.ReadLineAsync().WaitAsync(Patience);
        Assert.Contains("ready", await starter.StandardError.ReadLineAsync().WaitAsync(Patience), StringComparison.Ordinal);
        var qemu = AllChildren(starter.Id).Single(id => CommandLine(id).Split('\0', ' ')[0].EndsWith("qemu-system-x86_64", StringComparison.Ordinal));
        using var gone = Process.GetProcessById(qemu);

        starter.Kill();

        await gone.WaitForExitAsync().WaitAsync(Patience);
        Assert.False(Directory.Exists($"/proc/{qemu}"));
    }

    [Fact]
    public async Task AHostThatDiesSaysSo()
    {
        await using var host = await NestedHost.StartAsync(new NestedHostOptions { MemoryMiB = 512, Cpus = 1 });

        // A crash on demand: the console's tail must be in the message.
        var e = await Assert.ThrowsAsync<NestedHostException>(() => host.RunAsync("echo c >/proc/sysrq-trigger; sleep 100", Patience));

        Assert.Contains("sysrq", e.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task AHostThatCannotStartSaysWhy()
    {
        var e = await Assert.ThrowsAsync<NestedHostException>(
            () => NestedHost.StartAsync(new NestedHostOptions { Drives = [new NestedHostDrive("/nonexistent")] }));

        Assert.Contains("/nonexistent", e.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<int> AllChildren(int process) =>
        Directory.EnumerateDirectories($"/proc/{process}/task")
            .SelectMany(task => File.ReadAllText(Path.Combine(task, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Select(int.Parse);

    private static string CommandLine(int process) => File.ReadAllText($"/proc/{process}/cmdline");
}
