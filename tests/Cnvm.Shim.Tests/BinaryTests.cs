using System.Diagnostics;
using Cnvm.Linux;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Tests.Harness;

namespace Cnvm.Shim.Tests;

/// <summary>The program as containerd calls it: arguments, what it prints, what it leaves.</summary>
public sealed class BinaryTests : IDisposable
{
    private const string Kind = "io.kubernetes.cri.container-type";
    private const string PodName = "io.kubernetes.cri.sandbox-id";
    private static readonly string ProgramPath = Path.Combine(AppContext.BaseDirectory, "containerd-shim-cnvm-v2");
    private readonly string _directory = Directory.CreateTempSubdirectory("cnvm-shim-").FullName;
    private readonly List<int> _shims = [];

    public BinaryTests() => Skip.If(Environment.UserName != "root", "shims have their sockets in /run/containerd/s, which is root's");

    private string Containerd => Path.Combine(_directory, "c.sock");

    [SkippableFact]
    public async Task Start_prints_the_address_alone_and_returns_while_the_shim_lives()
    {
        string bundle = ShimHarness.MakeBundle(_directory, "c1", ":");

        (int code, byte[] printed, string errors) = await RunAsync(bundle, "-id", "c1", "start");

        var identity = new ShimIdentity(Containerd, "test", "c1");
        Assert.Equal((0, identity.SocketUri, ""), (code, System.Text.Encoding.UTF8.GetString(printed), errors));
        Assert.StartsWith("unix:///run/containerd/s/", identity.SocketUri, StringComparison.Ordinal);
        Assert.Equal(identity.SocketUri, File.ReadAllText(Path.Combine(bundle, "address")));
        int shim = await ShimOfAsync(identity);

        // Asked once more, as after an attempt that containerd gave up, it is the same shim.
        Assert.Equal(printed, (await RunAsync(bundle, "-id", "c1", "start")).Printed);
        Assert.Equal(shim, await ShimOfAsync(identity));

        await using (TaskClient client = await TaskClient.ConnectAsync(identity.Socket))
        {
            await client.ShutdownAsync("c1");
        }

        await WaitForEndAsync(shim);
        Assert.False(File.Exists(identity.Socket));
        await AssertDeletesAsync(bundle, identity);
    }

    [SkippableFact]
    public async Task Delete_takes_away_what_a_killed_shim_has_left_and_may_come_twice()
    {
        string bundle = ShimHarness.MakeBundle(_directory, "c1", ":");
        Assert.Equal(0, (await RunAsync(bundle, "-id", "c1", "start")).Code);
        var identity = new ShimIdentity(Containerd, "test", "c1");
        int shim = await ShimOfAsync(identity);
        Assert.Equal(0, Native.Kill(shim, Native.SigKill));
        await WaitForEndAsync(shim);
        Assert.True(File.Exists(identity.Socket));

        await AssertDeletesAsync(bundle, identity);
        await AssertDeletesAsync(bundle, identity);

        // And a new one can begin.
        Assert.Equal(0, (await RunAsync(bundle, "-id", "c1", "start")).Code);
        await ShimOfAsync(identity);
    }

    [SkippableFact]
    public async Task A_container_of_a_pod_gets_the_pods_shim()
    {
        string pod = ShimHarness.MakeBundle(_directory, "pod", ":", false, Kind, "sandbox", PodName, "pod");
        string app = ShimHarness.MakeBundle(_directory, "app", ":", false, Kind, "container", PodName, "pod");
        var identity = new ShimIdentity(Containerd, "test", "pod");

        (int code, _, string errors) = await RunAsync(app, "-id", "app", "start");
        Assert.Equal(1, code);
        Assert.Contains("pod pod, which has no shim", errors, StringComparison.Ordinal);

        Assert.Equal(0, (await RunAsync(pod, "-id", "pod", "start")).Code);
        int shim = await ShimOfAsync(identity);
        Assert.Equal(identity.SocketUri, System.Text.Encoding.UTF8.GetString((await RunAsync(app, "-id", "app", "start")).Printed));
        Assert.Equal(identity.SocketUri, File.ReadAllText(Path.Combine(app, "address")));

        // Its end is not the pod's.
        await RunAsync(_directory, "-id", "app", "-bundle", app, "delete");
        Assert.Equal(shim, await ShimOfAsync(identity));
    }

    [SkippableFact]
    public async Task The_program_tells_about_itself_and_about_mistakes()
    {
        Assert.StartsWith("containerd-shim-cnvm-v2 v", System.Text.Encoding.UTF8.GetString((await RunPlainAsync("-v")).Printed), StringComparison.Ordinal);
        Assert.Contains("runtime_type", System.Text.Encoding.UTF8.GetString((await RunPlainAsync("--help")).Printed), StringComparison.Ordinal);
        RuntimeInfo info = RuntimeInfo.Read((await RunPlainAsync("-info")).Printed);
        Assert.Equal("io.containerd.cnvm.v2", info.Name);
        Assert.NotEmpty(info.Version!.Version);

        foreach (string[] words in (string[][])[["-flag", "x"], ["-id"], ["jump"], [], ["start"]])
        {
            (int code, byte[] printed, string errors) = await RunPlainAsync(words);
            Assert.Equal((2, 0), (code, printed.Length));
            Assert.StartsWith("containerd-shim-cnvm-v2: ", errors, StringComparison.Ordinal);
        }

        (int failed, _, string reason) = await RunAsync(_directory, "-id", "c1", "start");
        Assert.Equal(1, failed);
        Assert.Contains("config.json", reason, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        foreach (int shim in _shims)
        {
            _ = Native.Kill(shim, Native.SigKill);
        }

        foreach (string id in (string[])["c1", "pod", "app"])
        {
            File.Delete(new ShimIdentity(Containerd, "test", id).Socket);
        }

        Directory.Delete(_directory, true);
    }

    private async Task AssertDeletesAsync(string bundle, ShimIdentity identity)
    {
        (int code, byte[] printed, string errors) = await RunAsync(_directory, "-id", identity.Id, "-bundle", bundle, "delete");
        Assert.Equal((0, ""), (code, errors));
        DeleteResponse deleted = DeleteResponse.Read(printed);
        Assert.Equal(137u, deleted.ExitStatus);
        Assert.InRange(DateTimeOffset.UtcNow - deleted.ExitedAt!.ToDateTimeOffset(), TimeSpan.FromSeconds(-1), TimeSpan.FromMinutes(1));
        Assert.False(File.Exists(identity.Socket));
        Assert.False(Directory.Exists(identity.SandboxDirectory));
    }

    private async Task<int> ShimOfAsync(ShimIdentity identity)
    {
        await using TaskClient client = await TaskClient.ConnectAsync(identity.Socket);
        int shim = (int)(await client.ConnectTaskAsync(identity.Id)).ShimPid;
        _shims.Add(shim);
        return shim;
    }

    private static async Task WaitForEndAsync(int process)
    {
        // Nobody's child here, so there is nothing to wait on but its descriptor; without one it has ended and been waited for.
        using DetachedProcess? held = DetachedProcess.TryOpen(process);
        bool hasEnded = held is null || await Task.Run(() => Poll.Wait([new PollEntry { Fd = held.Fd, Events = PollEntry.In }], (int)ShimHarness.Patience.TotalMilliseconds) > 0);
        Assert.True(hasEnded, $"process {process} does not end");
    }

    private Task<(int Code, byte[] Printed, string Errors)> RunAsync(string directory, params string[] words) => RunInAsync(
        directory, ["-namespace", "test", "-address", Containerd, "-publish-binary", "/usr/bin/containerd", .. words]);

    private Task<(int Code, byte[] Printed, string Errors)> RunPlainAsync(params string[] words) => RunInAsync(_directory, words);

    private static async Task<(int Code, byte[] Printed, string Errors)> RunInAsync(string directory, string[] words)
    {
        var start = new ProcessStartInfo(ProgramPath, words)
        {
            WorkingDirectory = directory, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment.Remove("TTRPC_ADDRESS");
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        // To the end of both: whoever kept one would hold this up, as it would containerd.
        using var printed = new MemoryStream();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.StandardOutput.BaseStream.CopyToAsync(printed).WaitAsync(ShimHarness.Patience);
        string said = await errors.WaitAsync(ShimHarness.Patience);
        await process.WaitForExitAsync().WaitAsync(ShimHarness.Patience);
        return (process.ExitCode, printed.ToArray(), said);
    }
}
