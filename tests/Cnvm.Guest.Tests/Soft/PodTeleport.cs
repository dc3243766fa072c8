using Cnvm.Nested;
using Cnvm.Sandbox;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>
/// A pod's VM goes from one host to another one: two network namespaces with a bridge each, joined by a cable, and the second one with its own
/// folder in the sandbox's place, as a machine of its own would have.
/// </summary>
[Collection(SoftGuests.Name)]
public sealed class PodTeleport(SoftHostFixture fixture, SandboxFixture sandboxes, ITestOutputHelper output) : GuestTests(fixture), IClassFixture<SandboxFixture>
{
    private const int Port = 5002;
    private const string Mac = "52:54:00:c0:ff:ee";

    // Numbered lines come back turned round; one that is out of order ends the connection, and so the container.
    private const string Answer =
        "echo up; exec nc -l -p 5002 -e awk '{ if ($1 != n++) exit 1; s = \"\"; for (i = length($2); i > 0; i--) s = s substr($2, i, 1); print $1, s; fflush() }'";

    [SkippableFact]
    public async Task A_pod_teleports_while_a_client_talks_to_it()
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        await using var scratch = new ScratchDirectory(Host);
        await using JoinedNetworks networks = await JoinedNetworks.CreateAsync(Host);
        (NetworkNamespace here, NetworkNamespace there, NetworkNamespace client) = (networks.Here, networks.There, networks.Third);
        string pod = $"{scratch.Path}/pod";
        string arrived = $"{scratch.Path}/there";
        string ssh = await MakeHostAsync(scratch, there, pod, arrived);
        await using SandboxVm sandbox = await SandboxVm.StartAsync(sandboxes.Options with
        {
            Name = "pod",
            Folder = pod,
            NetworkNamespace = $"/run/netns/{here.Name}",
            Network = new SandboxNetwork.Tap("tap0", Mac),
            KernelArguments = $"ip={JoinedNetworks.GuestAddress}::::pod:eth0:off",
        });
        var first = new ProcessOptions(["sh", "-c", Answer]);
        Container container = await sandbox.CreateContainerAsync("web", new ContainerOptions(new ContainerRootfs(sandboxes.Rootfs), first));
        await container.StartAsync();
        Assert.Equal("up", await new StreamReader(container.Process.StandardOutput).ReadLineAsync());
        Assert.Equal("", await AskAsync(container, "echo written >/root-file"));
        await using ThirdParty third = await ThirdParty.ConnectAsync(Host, client.Name, JoinedNetworks.GuestAddress, Port);
        _ = await third.MarkAsync();

        // What the container has of the other host must be there.
        string teleport = $"{Shell.Quote(SandboxFixture.Cli)} teleport --api-socket {sandbox.ApiSocket} there --name pod --ssh {ssh}";
        CommandResult refused = await Host.RunAsync($"{teleport} --dry-run", GuestVm.Patience);
        output.WriteLine(refused.Error);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains($"{pod}/shared", refused.Error, StringComparison.Ordinal);
        (await Host.RunAsync($"cp -a {pod}/shared {arrived}/")).OrThrow();

        SandboxEnd end;
        try
        {
            CommandResult moved = (await Host.RunAsync(teleport, GuestVm.Patience)).OrThrow();
            output.WriteLine(moved.Output + moved.Error);
            Assert.Contains("has moved to there as pod, and is running there", moved.Output, StringComparison.Ordinal);
            end = await sandbox.Ended.WaitAsync(GuestVm.Patience);
            Assert.True(end.HasMoved, end.ToString());
            Assert.Equal(0, end.ExitCode);

            // The connection lives on, and so does what the container wrote, which is in its guest's memory.
            (int longest, int answers) = await third.MarkAsync();
            output.WriteLine($"{answers} answers during the move, longest time without one {longest} ms");
            await using SandboxVm moving = await SandboxVm.AttachAsync(arrived);
            Container there2 = moving.OpenContainer("web", sandboxes.Rootfs, first);
            Assert.Equal("written", await AskAsync(there2, "cat /root-file"));
            Assert.Contains("awk", await AskAsync(there2, "cat /proc/1/cmdline | tr '\\0' ' '"), StringComparison.Ordinal);
            output.WriteLine(await third.EndAsync());
            await there2.SignalAsync(9);
        }
        finally
        {
            await Host.CleanUpAsync(async () =>
            {
                await Host.RunAsync($"CNVM_RUNTIME_DIR={arrived} {Shell.Quote(SandboxFixture.Cli)} shutdown-vmm pod");
            });
        }
    }

    /// <summary>What stands in for ssh to the other host: another network, and another folder in the sandbox's place.</summary>
    private async Task<string> MakeHostAsync(ScratchDirectory scratch, NetworkNamespace there, string pod, string arrived)
    {
        string ssh = $"{scratch.Path}/ssh";
        string vmm = Shell.Quote(GuestHostFixture.Vmm);
        (await Host.RunAsync(
            $$"""
            mkdir -p {{scratch.Path}} && mkdir -m 700 {{arrived}} && cat >{{ssh}} <<'END' && cat >{{arrived}}/vmm <<'END' && chmod 755 {{ssh}} {{arrived}}/vmm
            #!/bin/sh
            for command; do :; done
            export CNVM_RUNTIME_DIR={{arrived}} CNVM_VMM={{arrived}}/vmm PATH="$(dirname {{vmm}}):$PATH" command
            exec ip netns exec {{there.Name}} sh -c 'mount --bind {{arrived}} {{pod}} && exec sh -c "$command"'
            END
            #!/bin/sh
            exec {{vmm}} --hypervisor {{Host.Hypervisor}} "$@"
            END
            """)).OrThrow();
        return ssh;
    }

    private static async Task<string> AskAsync(Container container, string script)
    {
        SandboxProcess process = await container.ExecAsync(new ProcessOptions(["sh", "-c", $"({script}) 2>&1"]));
        string said = await new StreamReader(process.StandardOutput).ReadToEndAsync();
        Assert.True(await process.WaitAsync() == 0, said);
        return said.Trim();
    }
}
