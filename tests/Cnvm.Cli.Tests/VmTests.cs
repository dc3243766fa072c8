using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

namespace Cnvm.Cli.Tests;

/// <summary>A new user's way through the program, with real VMs on the software vCPU.</summary>
public sealed class VmTests : IDisposable
{
    private readonly CliRun _cli = new();

    private static string Images => Path.Combine(RepositoryRoot(), "out", "images");

    private static string Kernel => Path.Combine(Images, "vmlinux-small");

    private static string Initramfs => Path.Combine(Images, "initramfs.cpio");

    public void Dispose() => _cli.Dispose();

    [SkippableFact]
    public void A_vm_is_started_listed_talked_to_paused_and_ended()
    {
        SkipWithoutImages();
        CliResult started = _cli.Run(
            "start", "web", "--hypervisor", "soft", "--kernel", Kernel, "--initramfs", Initramfs, "--cmdline", "console=ttyS0");
        Assert.Equal((0, ""), (started.ExitCode, started.Error));
        Assert.StartsWith("web: running, process ", started.Output, StringComparison.Ordinal);
        Assert.Matches(@"^NAME +STATE +VCPUS +MEMORY +PID +UPTIME +SOCKET\nweb +running +1 +512 MiB +[0-9]+ ", _cli.Run("ps").Output);
        Talk("uname -s\n", "\nLinux");
        Assert.Equal(new CliResult(0, "", ""), _cli.Run("pause"));
        Assert.Equal("paused", State());
        Assert.Equal(new CliResult(0, "", ""), _cli.Run("wait", "--state", "paused", "--timeout", "10"));
        CliResult late = _cli.Run("wait", "--state", "running", "--timeout", "300ms");
        Assert.Equal((4, true), (late.ExitCode, late.Error.Contains("web is not running after 300ms", StringComparison.Ordinal)));
        Process running = _cli.Start("cnvm", "wait", "web", "--state", "running");
        Assert.True(SpinWait.SpinUntil(() => Connections("web.sock") > 1, TimeSpan.FromSeconds(30)));
        Assert.Equal(0, _cli.Run("resume").ExitCode);
        Assert.Equal(new CliResult(0, "", ""), CliRun.Finish(running, null));
        Assert.Matches(@"(?s)^ +0\.[0-9]{3} vmm starting\n.* vm booted\n.* vm paused\n +[0-9]+\.[0-9]{3} vm resuming\n.* vm resumed\n", _cli.Run("events").Output);
        Process events = _cli.Start("cnvm", "events", "web", "--follow", "--json");
        string shown = _cli.Run("show").Output;
        Assert.Contains("State          running", shown, StringComparison.Ordinal);
        Assert.Contains("Serial         pty /dev/pts/", shown, StringComparison.Ordinal);
        Process wait = _cli.Start("cnvm", "wait", "web");

        // The listening socket, and one for each of the two: whoever asks for a VM that has gone hears that there is none.
        Assert.True(SpinWait.SpinUntil(() => Connections("web.sock") > 2, TimeSpan.FromSeconds(30)));
        Assert.Equal(0, _cli.Run("power-button", "web").ExitCode);
        Assert.Equal(new CliResult(0, "", ""), CliRun.Finish(wait, null));
        CliResult followed = CliRun.Finish(events, null);
        Assert.Equal((0, ""), (followed.ExitCode, followed.Error));
        Assert.Equal("vmm:starting", Happened(followed.Output.Split('\n')[0]));
        Assert.True(SpinWait.SpinUntil(() => _cli.Run("ps", "-q").Output.Length == 0, TimeSpan.FromSeconds(20)));
        Assert.DoesNotContain(".sock", string.Join(' ', Directory.GetFiles(_cli.RuntimeFolder)), StringComparison.Ordinal);
    }

    private static string Happened(string line) => $"{Text(line, "source")}:{Text(line, "event")}";

    [SkippableFact]
    public void A_vmm_without_a_vm_gets_one_and_loses_it()
    {
        SkipWithoutImages();
        CliResult started = _cli.Run("start", "--name", "db", "--hypervisor=soft", "--json");
        Assert.Equal((0, ""), (started.ExitCode, started.Error));
        Assert.Equal(("db", "empty"), (Text(started.Output, "name"), Text(started.Output, "state")));
        CliResult early = _cli.Run("boot");
        Assert.Equal((1, true), (early.ExitCode, early.Error.Contains("(404)", StringComparison.Ordinal)));
        string config = $$$"""
            {"payload":{"kernel":"{{{Kernel}}}","initramfs":"{{{Initramfs}}}","cmdline":"console=ttyS0"},
             "serial":{"mode":"Pty"},"console":{"mode":"Off"}}
            """;
        Assert.Equal(new CliResult(0, "", ""), _cli.RunWithInput(config, "create", "db", "-"));
        Assert.Equal("created", State());
        Assert.Equal(0, _cli.Run("boot", "db").ExitCode);
        Assert.Equal("running", State());
        Assert.Equal(0, _cli.Run("shutdown", "db").ExitCode);
        Assert.Equal("shutdown", State());
        Assert.Equal(0, _cli.Run("delete", "db").ExitCode);
        Assert.Equal("empty", State());
        Assert.Equal(0, _cli.Run("create", "db", "--kernel", Kernel, "--memory", "256M", "--console", "off").ExitCode);
        JsonElement info = JsonDocument.Parse(_cli.Run("info").Output).RootElement;
        Assert.Equal(("Created", 256UL << 20), (info.GetProperty("state").GetString(), info.GetProperty("memory_actual_size").GetUInt64()));
        Assert.Equal(0, _cli.Run("shutdown-vmm", "db").ExitCode);
    }

    [SkippableFact]
    public void A_snapshot_of_a_vm_is_inspected_and_checked_against_the_host_it_was_taken_on()
    {
        SkipWithoutImages();
        Assert.Equal(0, _cli.Run("start", "shot", "--hypervisor", "soft", "--kernel", Kernel, "--memory", "128M").ExitCode);
        string folder = Directory.CreateDirectory(Path.Combine(_cli.Folder, "snapshot")).FullName;
        Assert.Equal(0, _cli.Run("pause", "shot").ExitCode);
        Assert.Equal(new CliResult(0, "", ""), _cli.Run("snapshot", "shot", $"file://{folder}"));
        Assert.Equal(0, _cli.Run("shutdown-vmm", "shot").ExitCode);
        JsonElement state = JsonDocument.Parse(_cli.Run("inspect", folder, "--json").Output).RootElement;
        Assert.Equal(("soft", 1), (state.GetProperty("hypervisor").GetString(), state.GetProperty("vcpus").GetArrayLength()));
        Assert.Contains("\nhypervisor: soft\n", _cli.Run("inspect", folder).Output, StringComparison.Ordinal);
        CliResult check = _cli.Run("check", folder, "--against", "host", "--hypervisor", "soft");
        Assert.Equal(new CliResult(0, "yes: soft on this host runs the guest\n", ""), check);
    }

    [Fact]
    public void A_vm_that_cannot_start_says_why_and_leaves_nothing_behind()
    {
        string missing = Path.Combine(_cli.Folder, "missing");
        CliResult failed = _cli.Run("start", "web", "--hypervisor", "soft", "--kernel", missing);
        Assert.Equal(1, failed.ExitCode);
        Assert.Contains(missing, failed.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_cli.RuntimeFolder));
    }

    [Theory]
    [InlineData("start web --kernel k --serial tty", "--serial tty")]
    [InlineData("start web --kernel k --console tty", "--console tty")]
    [InlineData("start web --kernl k", "did you mean --kernel?")]
    [InlineData("start web --memory 1G", "--kernel is needed")]
    [InlineData("start a/b --kernel k", "is no name")]
    [InlineData("start web --name db", "give one of them")]
    [InlineData("start web --timeout soon", "--timeout")]
    public void Wrong_flags_are_told_before_anything_starts(string command, string message)
    {
        CliResult result = _cli.Run(command.Split(' '));
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_cli.RuntimeFolder) && Directory.GetFiles(_cli.RuntimeFolder).Length > 0);
    }

    [Fact]
    public void Two_vms_have_two_names()
    {
        Assert.StartsWith("vm1: empty, process ", _cli.Run("start").Output, StringComparison.Ordinal);
        Assert.StartsWith("vm2: empty, process ", _cli.Run("start").Output, StringComparison.Ordinal);
        CliResult taken = _cli.Run("start", "vm1");
        Assert.Equal((1, true), (taken.ExitCode, taken.Error.Contains("a VM named 'vm1' is running", StringComparison.Ordinal)));
        Assert.Equal("vm1\nvm2\n", _cli.Run("ps", "-q").Output);
        Assert.Equal(0, _cli.Run("logs", "vm1").ExitCode);
        Assert.Equal(0, _cli.Run("shutdown-vmm", "vm1").ExitCode);
        Assert.Equal(4, _cli.Run("wait", "vm2", "--timeout", "0").ExitCode);
        Assert.Equal(0, _cli.Run("shutdown-vmm", "vm2").ExitCode);
    }

    /// <summary>Sockets that carry this path: the one that listens, and one for each client.</summary>
    private int Connections(string socket) =>
        File.ReadLines("/proc/net/unix").Count(l => l.EndsWith(Path.Combine(_cli.RuntimeFolder, socket), StringComparison.Ordinal));

    private string State() => JsonDocument.Parse(_cli.Run("ps", "--json").Output).RootElement[0].GetProperty("state").GetString()!;

    private static string Text(string json, string key) => JsonDocument.Parse(json).RootElement.GetProperty(key).GetString()!;

    /// <summary>Types at the guest's shell and waits for its answer.</summary>
    private void Talk(string line, string answer)
    {
        Process console = _cli.Start("cnvm", "console");
        var seen = new StringBuilder();
        var watch = Stopwatch.StartNew();
        byte[] buffer = new byte[4096];
        bool asked = false;
        while (!seen.ToString().Replace("\r", "", StringComparison.Ordinal).Contains(answer, StringComparison.Ordinal))
        {
            Task<int> read = console.StandardOutput.BaseStream.ReadAsync(buffer, 0, buffer.Length);
            bool came = read.Wait(TimeSpan.FromSeconds(90) - watch.Elapsed);
            Assert.True(came && read.Result > 0, $"the guest said '{seen}' and not '{answer}'");
            seen.Append(Encoding.ASCII.GetString(buffer, 0, read.Result));
            if (!asked && seen.ToString().Contains("# ", StringComparison.Ordinal))
            {
                asked = true;
                console.StandardInput.Write(line);
                console.StandardInput.Flush();
            }
        }

        console.Kill();
        console.WaitForExit();
    }

    private static void SkipWithoutImages() =>
        Skip.IfNot(File.Exists(Kernel) && File.Exists(Initramfs), $"{Kernel} and {Initramfs} are missing (make images)");

    private static string RepositoryRoot([CallerFilePath] string thisFile = "")
    {
        DirectoryInfo? folder = new FileInfo(thisFile).Directory;
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "cnvm.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException($"no cnvm.sln above {thisFile}");
    }
}
