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

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_pod_teleports_while_a_client_talks_to_it(bool hasPodInterfaces)
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        await using var scratch = new ScratchDirectory(Host);
        await using JoinedNetworks networks = await JoinedNetworks.CreateAsync(Host);
        await using NetworkNamespace podHere = await NetworkNamespace.CreateAsync(Host);
        await using NetworkNamespace podThere = await NetworkNamespace.CreateAsync(Host);
        string folder = $"{scratch.Path}/pod";
        string arrived = $"{scratch.Path}/there";
        string ssh = await MakeHostAsync(scratch, folder, arrived);
        SandboxOptions options = sandboxes.Options with { Name = "pod", Folder = folder };
        if (hasPodInterfaces)
        {
            await PodNetwork.SkipWithoutRedirectsAsync(podThere);
            await PlugAsync(networks.Here, podHere, $"ip address add {JoinedNetworks.GuestAddress}/24 dev eth0");
            await PlugAsync(networks.There, podThere, "true");
            options = options with { NetworkNamespace = $"/run/netns/{podHere.Name}", Network = SandboxNetwork.Namespace };
        }
        else
        {
            options = options with
            {
                NetworkNamespace = $"/run/netns/{networks.Here.Name}",
                Network = new SandboxNetwork.Tap("tap0", Mac),
                KernelArguments = $"ip={JoinedNetworks.GuestAddress}::::pod:eth0:off",
            };
        }

        await using SandboxVm sandbox = await SandboxVm.StartAsync(options);
        var first = new ProcessOptions(["sh", "-c", Answer]);
        Container container = await sandbox.CreateContainerAsync("web", new ContainerOptions(new ContainerRootfs(sandboxes.Rootfs), first));
        await container.StartAsync();
        Assert.Equal("up", await new StreamReader(container.Process.StandardOutput).ReadLineAsync());
        Assert.Equal("", await AskAsync(container, "echo written >/root-file"));
        await using ThirdParty third = await ThirdParty.ConnectAsync(Host, networks.Third.Name, JoinedNetworks.GuestAddress, Port);
        _ = await third.MarkAsync();

        // What the VM has of its host must be there: a network for its interfaces, and the container's files.
        string teleport = $"{Shell.Quote(SandboxFixture.Cli)} teleport --api-socket {sandbox.ApiSocket} there --name pod --ssh {ssh}";
        await AssertRefusedAsync($"{teleport} --dry-run", "say with --netns which one of there");
        await AssertRefusedAsync($"{teleport} --dry-run --netns no-such-namespace", "/run/netns/no-such-namespace");
        teleport += $" --netns {(hasPodInterfaces ? podThere : networks.There).Name}";
        await AssertRefusedAsync($"{teleport} --dry-run", $"{folder}/shared");
        await AssertNothingIsLeftAsync(podThere);
        (await Host.RunAsync($"cp -a {folder}/shared {arrived}/")).OrThrow();

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
            await moving.PauseAsync();
            await moving.ResumeAsync();
            Container there2 = moving.OpenContainer("web", sandboxes.Rootfs, first);
            Assert.Equal("written", await AskAsync(there2, "cat /root-file"));
            Assert.Contains("awk", await AskAsync(there2, "cat /proc/1/cmdline | tr '\\0' ' '"), StringComparison.Ordinal);
            output.WriteLine(await third.EndAsync());
            await there2.SignalAsync(9);
            await sandbox.DisposeAsync();
            await AssertNothingIsLeftAsync(podHere);
        }
        finally
        {
            await Host.CleanUpAsync(async () =>
            {
                await Host.RunAsync($"{Shell.Quote(SandboxFixture.Cli)} --api-socket {arrived}/api.sock shutdown-vmm");
            });
        }

        if (hasPodInterfaces)
        {
            // The VMM's interfaces go with it, and the rest with the sandbox's folder.
            await podThere.RunAsync("for i in $(seq 300); do ip -o link | grep -q cnvmpod || break; sleep 0.1; done; tc qdisc show dev eth0 | grep ingress");
            SandboxVm.CleanUp(arrived);
            await AssertNothingIsLeftAsync(podThere);
        }
    }

    private async Task AssertRefusedAsync(string command, string says)
    {
        CommandResult refused = await Host.RunAsync(command, GuestVm.Patience);
        output.WriteLine(refused.Error);
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains(says, refused.Error, StringComparison.Ordinal);
    }

    private static Task<CommandResult> AssertNothingIsLeftAsync(NetworkNamespace pod) => pod.RunAsync("! ip -o link | grep cnvmpod && ! tc qdisc show | grep ingress");

    /// <summary>Puts a pod's network namespace at a switch, as container engines do. It says nothing by itself with the address that the guest has.</summary>
    private static async Task PlugAsync(NetworkNamespace part, NetworkNamespace pod, string configure)
    {
        await pod.RunAsync("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        await part.RunAsync($"ip link add pod type veth peer name eth0 netns {pod.Name} && ip link set pod master br0 up");
        await pod.RunAsync($"{configure} && ip link set eth0 up");
    }

    /// <summary>What stands in for ssh to the other host, where another folder is in the sandbox's place.</summary>
    private async Task<string> MakeHostAsync(ScratchDirectory scratch, string folder, string arrived)
    {
        string ssh = $"{scratch.Path}/ssh";
        string vmm = Shell.Quote(GuestHostFixture.Vmm);
        (await Host.RunAsync(
            $$"""
            mkdir -p {{scratch.Path}} && mkdir -m 700 {{arrived}} && cat >{{ssh}} <<'END' && cat >{{arrived}}/vmm <<'END' && chmod 755 {{ssh}} {{arrived}}/vmm
            #!/bin/sh
            for command; do :; done
            export CNVM_RUNTIME_DIR={{arrived}} CNVM_VMM={{arrived}}/vmm PATH="$(dirname {{vmm}}):$PATH" command
            exec unshare --mount sh -c 'mount --bind {{arrived}} {{folder}} && exec sh -c "$command"'
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
