using System.Text;
using Cnvm.CommandLine;
using Cnvm.Hypervisor.Soft;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Cli.Tests;

/// <summary>What this host can run, as cnvm-vmm tells cnvm.</summary>
public sealed class HostTests : IDisposable
{
    private readonly CliRun _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public void The_software_vcpu_is_described_for_people_and_as_the_file_that_check_reads()
    {
        using SoftHypervisor soft = SoftHypervisor.Create();
        HostCapabilities expected = HostCapabilities.Of(soft);
        CliResult json = _cli.Run("host-capabilities", "--hypervisor", "soft", "--json");
        Assert.Equal((0, ""), (json.ExitCode, json.Error));
        Assert.Equal(expected, HostCapabilitiesFile.Read(Encoding.UTF8.GetBytes(json.Output)));
        CliResult vmm = CliRun.Finish(_cli.Start("cnvm-vmm", "--host-capabilities", "--hypervisor", "soft"), null);
        Assert.Equal(json, vmm);
        CliResult text = _cli.Run("host-capabilities", "--hypervisor=soft");
        Assert.Equal((0, ""), (text.ExitCode, text.Error));
        Assert.StartsWith($"Hypervisor     soft\nvCPUs          at most {expected.MaxVcpus}\n", text.Output, StringComparison.Ordinal);
        Assert.Contains($"\nMSRs           {expected.Msrs.Count}, listed with --json\n", text.Output, StringComparison.Ordinal);
        Assert.Contains("\"index\": \"0x277\"", json.Output, StringComparison.Ordinal);
        Assert.Matches("\nCPU profiles   .*x86-64-v2 ", text.Output);
        Assert.Matches("\nCPU features   .* sse4_2 ", text.Output.Replace("\n               ", " ", StringComparison.Ordinal));
        Assert.All(text.Output.Split('\n'), line => Assert.InRange(line.Length, 0, 100));
    }

    [Fact]
    public void A_snapshot_is_checked_against_this_host()
    {
        using SoftHypervisor soft = SoftHypervisor.Create();
        HostCapabilities host = HostCapabilities.Of(soft);
        SnapshotFixture.WriteForHost(Path.Combine(_cli.Folder, "same"), host);
        CliResult yes = _cli.Run("check", "same", "--against", "host", "--hypervisor", "soft");
        Assert.Equal(new CliResult(0, "yes: soft on this host runs the guest\n", ""), yes);
        Assert.Equal(yes, _cli.Run("check", "same", "--hypervisor", "soft"));
        SnapshotFixture.WriteForHost(Path.Combine(_cli.Folder, "other"), SnapshotFixture.Host());
        File.Delete(Path.Combine(_cli.Folder, "other", SnapshotFiles.Memory));
        CliResult no = _cli.Run("check", "other", "--hypervisor", "soft");
        Assert.Equal((1, ""), (no.ExitCode, no.Error));
        Assert.Contains("\n  CPU vendor: ", no.Output, StringComparison.Ordinal);
        Assert.Contains($"\n  memory: other/{SnapshotFiles.Memory}, which has the snapshot's memory, cannot be used: ", no.Output, StringComparison.Ordinal);

        // What another host has is not to be seen from here.
        File.Delete(Path.Combine(_cli.Folder, "same", SnapshotFiles.Memory));
        File.WriteAllBytes(Path.Combine(_cli.Folder, "there.json"), HostCapabilitiesFile.Write(host));
        Assert.Equal(0, _cli.Run("check", "same", "--against", "there.json").ExitCode);
        File.WriteAllText(Path.Combine(_cli.Folder, "same", SnapshotFiles.Config), "[]");
        CliResult error = _cli.Run("check", "same", "--hypervisor", "soft");
        Assert.Equal((1, ""), (error.ExitCode, error.Output));
        Assert.Contains($"same/{SnapshotFiles.Config} is no VM's configuration", error.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Auto_tells_of_the_hypervisor_that_would_run_a_vm()
    {
        CliResult auto = _cli.Run("host-capabilities", "--json");
        Assert.Equal(0, auto.ExitCode);
        string chosen = HostCapabilitiesFile.Read(Encoding.UTF8.GetBytes(auto.Output)).Hypervisor;
        // It says why when it is not KVM.
        Assert.True(chosen == "kvm" ? auto.Error.Length == 0 : auto.Error.Contains("using the software vCPU", StringComparison.Ordinal), auto.Error);
    }

    [Theory]
    [InlineData("echo no hypervisor here >&2; exit 1", "cnvm-vmm ended:\nno hypervisor here")]
    [InlineData("exit 3", "ended without a message")]
    [InlineData("echo hello", "no host's description")]
    [InlineData("echo '{}'", "no host's description")]
    [InlineData("head -c 1048577 /dev/zero", "more than 1048576 bytes")]
    [InlineData("kill -9 $$", "ended without a message")]
    public void A_cnvm_vmm_that_cannot_tell_is_an_error(string script, string message)
    {
        string program = Path.Combine(_cli.Folder, "vmm");
        File.WriteAllText(program, $"#!/bin/sh\n{script}\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        CliResult result = _cli.Shell("TMPDIR=$PWD CNVM_VMM=./vmm \"$CNVM\" host-capabilities");
        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        Assert.Equal(["vmm"], Directory.GetFileSystemEntries(_cli.Folder).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("--kernel", "/k")]
    [InlineData("--memory", "1G")]
    [InlineData("--api-socket", "/s")]
    [InlineData("--name", "web")]
    [InlineData("--event-monitor", "path=/e")]
    [InlineData("--restore", "source_url=file:///a")]
    [InlineData("--no-shutdown")]
    public void Nothing_else_is_asked_of_the_vmm_at_the_same_time(params string[] flags)
    {
        Assert.True(LaunchOptions.Parse(["--host-capabilities", "--hypervisor", "soft", "-v"]).ShowHostCapabilities);
        string message = Assert.Throws<CommandLineException>(() => LaunchOptions.Parse([.. flags, "--host-capabilities"])).Message;
        Assert.Equal($"--host-capabilities runs no VM: leave {flags[0]} out", message);
    }
}
