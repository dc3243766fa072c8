using System.Text.Json;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Kvm;

/// <summary>
/// One of two nested hosts that are joined by a cable: a bridge br0 with the cable and a TAP interface tap0 in it, Debian's SSH server at the
/// cable's address alone, and a client configuration in which the other one is called <c>there</c>.
/// </summary>
internal sealed class TeleportHost : IAsyncDisposable
{
    public const string Folder = "/run/cnvm-guests/teleport";

    // A frame costs an emulated host the same whatever its size.
    private const int CableMtu = 60000;
    private const int SshPort = 2222;
    private readonly NestedHost _machine;
    private readonly NestedHostLinkEnd _end;
    private HostProcess? _server;

    private TeleportHost(NestedHost machine, NestedHostLinkEnd end)
    {
        _machine = machine;
        _end = end;
        Host = new GuestHost(machine, "kvm", "/dev/vda", "/run/cnvm-guests", IsRoot: true, IsAlone: true);
    }

    public GuestHost Host { get; }

    public string Address => _end.Address;

    /// <summary>Sets the environment of a shell as the SSH server sets it, and has a function <c>teleport</c>.</summary>
    public static string Prologue =>
        $"export XDG_RUNTIME_DIR={Folder}/user; cnvm={Cnvm}; teleport() {{ $cnvm teleport \"$@\" --ssh 'ssh -F {Folder}/ssh/config' --remote-cnvm $cnvm; }}; ";

    private static string Cnvm => Shell.Quote(Path.Combine(Path.GetDirectoryName(GuestHostFixture.Vmm)!, "cnvm"));

    /// <param name="tscKhz">The other host's, which is this one's too; 0 for the first.</param>
    public static async Task<TeleportHost> StartAsync(NestedHostLinkEnd end, int memoryMiB, bool hasRootDisk, uint tscKhz)
    {
        NestedHost machine = await NestedHost.StartAsync(new NestedHostOptions
        {
            MemoryMiB = memoryMiB,
            Link = end,
            TscKhz = tscKhz,
            Drives = hasRootDisk ? [new NestedHostDrive(Repository.Image("debian.ext4"))] : [],
            StartTimeout = TimeSpan.FromMinutes(5),
        });
        return new TeleportHost(machine, end);
    }

    public async Task<uint> TscKhzAsync() =>
        JsonDocument.Parse(await RunAsync("$cnvm host-capabilities --json")).RootElement.GetProperty("tsc_khz").GetUInt32();

    public async Task<string> RunAsync(string command) => (await TryAsync(command)).OrThrow().Output;

    public Task<CommandResult> TryAsync(string command) => Host.RunAsync(Prologue + command, TimeSpan.FromMinutes(30));

    /// <summary>The network, and keys of its own for both sides of SSH.</summary>
    public async Task SetUpAsync() => await RunAsync(
        $$"""
        set -e
        mkdir -p -m 700 {{Folder}} {{Folder}}/ssh {{Folder}}/user
        ip link add br0 type bridge
        ip address flush dev eth1
        ip link set eth1 mtu {{CableMtu}} master br0
        ip link set br0 mtu {{CableMtu}} up
        ip address add {{_end.Address}}/24 dev br0
        ip tuntap add dev tap0 mode tap
        ip link set tap0 master br0 up
        grep -q ^sshd: /etc/passwd || echo sshd:x:65533:65533::/run/sshd:/usr/sbin/nologin >>/etc/passwd
        mkdir -p -m 755 /run/sshd
        cd {{Folder}}/ssh
        ssh-keygen -q -t ed25519 -N '' -f host
        ssh-keygen -q -t ed25519 -N '' -f user
        """);

    /// <summary>Lets the other one in, and knows it.</summary>
    public async Task BeginToServeAsync(TeleportHost other)
    {
        string user = await other.RunAsync($"cat {Folder}/ssh/user.pub");
        string host = await other.RunAsync($"cat {Folder}/ssh/host.pub");
        await RunAsync(
            $"""
            cd {Folder}/ssh
            cat >authorized_keys <<'END'
            {user.Trim()}
            END
            cat >known_hosts <<'END'
            [{other.Address}]:{SshPort} {host.Trim()}
            END
            cat >server <<'END'
            ListenAddress {Address}:{SshPort}
            HostKey {Folder}/ssh/host
            AuthorizedKeysFile {Folder}/ssh/authorized_keys
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            UsePAM no
            PidFile none
            SetEnv XDG_RUNTIME_DIR={Folder}/user
            END
            cat >config <<'END'
            Host there
                HostName {other.Address}
                Port {SshPort}
                User root
                IdentityFile {Folder}/ssh/user
                IdentitiesOnly yes
                UserKnownHostsFile {Folder}/ssh/known_hosts
                GlobalKnownHostsFile /dev/null
                StrictHostKeyChecking yes
                BatchMode yes
            END
            """);
        _server = await Host.StartAsync($"exec {Shell.Quote(Repository.Image("sshd"))} -D -e -f {Folder}/ssh/server 2>&1");
        await _server.WaitForAsync($"Server listening on {Address}", GuestVm.Patience);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await Host.CleanUpAsync(() => _server.DisposeAsync().AsTask());
        }

        await _machine.DisposeAsync();
    }
}
