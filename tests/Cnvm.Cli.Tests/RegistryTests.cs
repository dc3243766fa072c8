using System.Diagnostics;
using Cnvm.Api.Registry;
using Cnvm.Linux;

namespace Cnvm.Cli.Tests;

/// <summary>How running VMs write themselves down, and what becomes of what dead ones leave.</summary>
public sealed class RegistryTests : IDisposable
{
    private readonly CliRun _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public void A_vmm_is_listed_while_it_runs_and_leaves_nothing_behind()
    {
        Process vmm = StartVmm("--name", "web");
        CliResult list = _cli.Run("ps", "--quiet");
        Assert.Equal(new CliResult(0, "web\n", ""), list);
        const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Assert.Equal(Owner, File.GetUnixFileMode(Path.Combine(_cli.RuntimeFolder, "web.json")));
        Assert.Equal(Owner | UnixFileMode.UserExecute, File.GetUnixFileMode(_cli.RuntimeFolder));
        Assert.Equal(0, _cli.Run("shutdown-vmm", "web").ExitCode);
        Assert.True(vmm.WaitForExit(20_000));
        Assert.Empty(Directory.GetFiles(_cli.RuntimeFolder));
        Assert.Equal("", _cli.Run("ps", "-q").Output);
    }

    [Fact]
    public void What_a_killed_vmm_left_behind_is_not_listed_and_its_name_is_free()
    {
        Process vmm = StartVmm("--name", "web");
        vmm.Kill();
        Assert.True(vmm.WaitForExit(20_000));
        Assert.True(File.Exists(Path.Combine(_cli.RuntimeFolder, "web.json")));
        Process next = StartVmm("--name", "web");
        Assert.Equal("web\n", _cli.Run("ps", "-q").Output);
        next.Kill();
        Assert.True(next.WaitForExit(20_000));
        Assert.Equal("", _cli.Run("ps", "-q").Output);
        Assert.False(File.Exists(Path.Combine(_cli.RuntimeFolder, "web.json")));
    }

    [Fact]
    public void A_name_belongs_to_one_vm()
    {
        Process first = StartVmm("--name", "web");
        CliResult second = CliRun.Finish(_cli.Start("cnvm-vmm", "--name", "web", "--api-socket", "other.sock"), null);
        Assert.Equal(1, second.ExitCode);
        Assert.Contains("a VM named 'web' is running", second.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_cli.Folder, "other.sock")));
        Assert.Equal(1, CliRun.Finish(_cli.Start("cnvm-vmm", "--name", "a/b"), null).ExitCode);
        Assert.Equal("web\n", _cli.Run("ps", "-q").Output);
    }

    [Fact]
    public void Of_many_that_want_a_name_at_once_one_gets_it()
    {
        Process[] all = [.. Enumerable.Range(0, 6).Select(i => _cli.Start("cnvm-vmm", "--name", "web", "--api-socket", $"{i}.sock"))];
        Assert.True(SpinWait.SpinUntil(() => all.Count(p => p.HasExited) == all.Length - 1, TimeSpan.FromSeconds(60)));
        Assert.All(all.Where(p => p.HasExited), p => Assert.Equal(1, p.ExitCode));
        Process winner = all.Single(p => !p.HasExited);
        Assert.Contains($"\"pid\":{winner.Id}", _cli.Run("ping", "web").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_name_a_vm_is_called_as_its_socket()
    {
        Process first = StartVmm("--api-socket", "db.sock");
        Assert.Equal("db\n", _cli.Run("ps", "-q").Output);
        Directory.CreateDirectory(Path.Combine(_cli.Folder, "x"));
        Process second = StartVmm("--api-socket", "x/db.sock");
        Assert.Equal($"db\ndb-{second.Id}\n", _cli.Run("ps", "-q").Output);
        Assert.Equal(0, _cli.Run("ping", "db").ExitCode);
        CliResult ambiguous = _cli.Run("pause");
        Assert.Equal(3, ambiguous.ExitCode);
        Assert.Contains($"running: db, db-{second.Id}", ambiguous.Error, StringComparison.Ordinal);
        Assert.Contains($"\"pid\":{second.Id}", _cli.Run("ping", "db-").Output, StringComparison.Ordinal);
        CliResult unknown = _cli.Run("ping", "nobody");
        Assert.Equal((3, true), (unknown.ExitCode, unknown.Error.Contains("no VM named 'nobody'", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_only_vm_need_not_be_named_except_to_end_it()
    {
        Assert.Equal(3, _cli.Run("ping").ExitCode);
        Process vmm = StartVmm("--name", "web");
        Assert.Equal(0, _cli.Run("ping").ExitCode);
        foreach (string command in (string[])["shutdown-vmm", "shutdown", "delete", "reboot", "power-button", "nmi"])
        {
            CliResult result = _cli.Run(command);
            Assert.Equal((command, 3), (command, result.ExitCode));
        }

        Assert.False(vmm.HasExited);
        Assert.Equal(0, _cli.Run("ping", "we").ExitCode);
    }

    [Fact]
    public void A_runtime_directory_that_others_can_enter_is_not_used()
    {
        Directory.CreateDirectory(_cli.RuntimeFolder);
        File.SetUnixFileMode(_cli.RuntimeFolder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead);
        CliResult list = _cli.Run("ps");
        Assert.Equal(1, list.ExitCode);
        Assert.Contains("open to nobody else", list.Error, StringComparison.Ordinal);
        Assert.Equal(1, CliRun.Finish(_cli.Start("cnvm-vmm", "--name", "web"), null).ExitCode);
        File.SetUnixFileMode(_cli.RuntimeFolder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.Delete(_cli.RuntimeFolder);
        File.CreateSymbolicLink(_cli.RuntimeFolder, _cli.Folder);
        Assert.Equal(1, _cli.Run("ps").ExitCode);
        File.Delete(_cli.RuntimeFolder);
    }

    [Theory]
    [InlineData("web", true)]
    [InlineData("a.b-c_9", true)]
    [InlineData("", false)]
    [InlineData("-a", false)]
    [InlineData(".a", false)]
    [InlineData("a/b", false)]
    [InlineData("a b", false)]
    [InlineData("ä", false)]
    [InlineData("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234", false)]
    public void Names_are_safe_as_file_names(string name, bool valid) => Assert.Equal(valid, VmRegistry.IsValidName(name));

    [Fact]
    public void A_held_file_is_told_from_one_that_was_left()
    {
        string path = Path.Combine(_cli.Folder, "f");
        OwnedFile? held = OwnedFile.TryCreate(path);
        Assert.NotNull(held);
        held.Append("x"u8);
        Assert.True(OwnedFile.IsHeld(path));
        Assert.Null(OwnedFile.TryCreate(path));
        Assert.Equal("x", File.ReadAllText(path));
        held.Dispose();
        Assert.False(File.Exists(path));
        File.WriteAllText(path, "left");
        Assert.False(OwnedFile.IsHeld(path));
        using OwnedFile? taken = OwnedFile.TryCreate(path);
        Assert.Equal("", File.ReadAllText(path));
    }

    /// <summary>Starts a VMM and waits until it serves its socket.</summary>
    private Process StartVmm(params string[] args)
    {
        Process vmm = _cli.Start("cnvm-vmm", args);
        int socket = Array.IndexOf(args, "--api-socket");
        string path = socket >= 0 ? Path.Combine(_cli.Folder, args[socket + 1]) : Path.Combine(_cli.RuntimeFolder, args[1] + ".sock");
        Assert.True(SpinWait.SpinUntil(() => _cli.Run("--api-socket", path, "ping").ExitCode == 0, TimeSpan.FromSeconds(30)));
        // It answers once it is written down.
        return vmm;
    }
}
