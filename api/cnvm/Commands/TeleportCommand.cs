using System.Globalization;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;
using Cnvm.Sandbox.Machine;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm teleport</c>: moves a VM with its disks to another host, through ssh alone or, if asked to, with TLS beside it.</summary>
internal static class TeleportCommand
{
    private const string DirectOption = "--direct";
    private const string TlsOption = "--tls";
    private const string RemoteTlsOption = "--remote-tls";
    private const string TlsNameOption = "--tls-name";
    private const string AnyAddress = "0.0.0.0";
    private const string AnyAddress6 = "[::]";

    public static int Run(Invocation invocation)
    {
        VmTarget target = VmTarget.Find(invocation);
        string host = invocation.Operands[0];
        if (host.Length == 0 || host[0] == '-')
        {
            throw CliException.Usage($"'{host}' is no host: give [USER@]HOST");
        }

        string name = invocation.Value("--name") ?? target.Name
            ?? throw CliException.Usage("--name: what is the VM to be called there? Here it is known by its socket alone");
        if (!VmRegistry.IsValidName(name))
        {
            throw CliException.Usage($"--name: '{name}' is no name for a VM");
        }

        string? space = invocation.Value(TeleportNetworks.Option);
        StreamEndpoint? direct = Direct(invocation);
        using CnvmClient client = target.Connect();
        VmInfo info = client.Info();
        bool keeps = invocation.Has("--keep");
        bool onlyChecks = invocation.Has("--dry-run");
        var ssh = new SshTarget(invocation.Value("--ssh") ?? "ssh", host, invocation.Value("--remote-cnvm") ?? "cnvm");
        List<string> networks = TeleportNetworks.Words(info.Config, space, () => client.Ping().Pid, target.Display, host);
        // Where they are of another namespace, nobody looks for their bridges.
        Dictionary<string, string> bridges = space is null ? Bridges(info.Config) : [];
        using SshCommand arrival = ssh.Start(
            ["__arrive", name, .. Files(info.Config), .. Places(info.Config, invocation.Value("--disks")), .. Taps(bridges), .. networks, .. Sandbox(info.Config), .. Listening(direct, invocation)]);
        string socket = AwaitReady(arrival, host, bridges);
        using SshTunnel? tunnel = direct is null ? new SshTunnel(ssh, socket) : null;
        byte[] request = JsonObject.Write(json =>
        {
            json.Text("destination_url", tunnel is null ? direct!.Text : $"unix:{tunnel.Socket}");
            json.Text("tls_dir", tunnel is null ? Path.GetFullPath(invocation.Value(TlsOption)!) : null);
            json.Text("tls_peer_name", invocation.Value(TlsNameOption));
            json.Toggle("with_disks", true);
            json.Text("compression", "Lz4");
            MigrateCommand.WriteLimits(json, invocation);
            json.Toggle("wait", true);
            json.Toggle("only_check", onlyChecks);
            json.Toggle("keep_source", keeps);
        });
        MigrationInfo end = MigrateCommand.Move(target, client, request);
        string state = "";
        switch (end.Phase)
        {
            case MigrationPhase.Completed:
                state = AwaitArrival(arrival, host, name);
                break;
            case MigrationPhase.Checked:
                break;
            default:
                throw MigrateCommand.NotMoved(target.Display, end, onlyChecks);
        }

        if (invocation.Json)
        {
            Stdio.Print(CnvmClient.Write(end));
        }
        else
        {
            Stdio.Print(end.Phase == MigrationPhase.Checked
                ? $"{target.Display} can move to {host} ({end.Peer}) as {name}, with {Units.Size(end.MemoryBytes)} of memory and {Units.Size(end.DiskBytes)} of disks"
                : MigrateCommand.Summary(target.Display, end with { Url = $"{host} as {name}, and is {state} there" }, keeps));
        }

        return ExitCode.Success;
    }

    /// <summary>What the other host should have beside the disks.</summary>
    private static IEnumerable<string> Files(VmConfig config) =>
        ((ReadOnlySpan<string?>)[config.Payload?.Kernel, config.Payload?.Initramfs, config.Payload?.Firmware]).ToArray()
            .Where(f => f is not null).Select(f => ArriveCommand.FileWord + f);

    /// <summary>The folder of a sandbox, where its agent's socket and what it shares with its guest are; nothing for other VMs.</summary>
    private static IEnumerable<string> Sandbox(VmConfig config) =>
        (config.Fs ?? []).FirstOrDefault(f => f.Tag == GuestPaths.SharedTag) is { Path: { } shared } && Path.GetDirectoryName(shared) is { } path
        && SandboxFolder.Of(path) is var folder && folder.Shared == shared && folder.VsockSocket == config.Vsock?.Socket
            ? [ArriveCommand.FolderWord + folder.Path]
            : [];

    private static IEnumerable<string> Places(VmConfig config, string? folder) => folder is null ? [] : (config.Disks ?? []).Where(d => !d.VhostUser).Select(
        d => $"{ArriveCommand.DiskWord}{d.Id}@{Path.Combine(folder, Path.GetFileName(d.Path!))}");

    /// <summary>Where the VM goes beside ssh; null if all of it goes through ssh.</summary>
    private static StreamEndpoint? Direct(Invocation invocation)
    {
        if (invocation.Value(DirectOption) is not { } url)
        {
            return Array.Find([TlsOption, RemoteTlsOption, TlsNameOption], invocation.Has) is { } idle
                ? throw CliException.Usage($"{idle} is for {DirectOption}: ssh has keys of its own")
                : null;
        }

        if (invocation.Has(TeleportNetworks.Option))
        {
            throw CliException.Usage($"{DirectOption} would go through the network that {TeleportNetworks.Option} names, which is the VM's own: give one of the two");
        }

        if (!StreamEndpoint.TryParse(url, out StreamEndpoint? direct) || direct!.Path is not null)
        {
            throw CliException.Usage($"{DirectOption}: '{url}' is not tcp:HOST:PORT");
        }

        return invocation.Has(TlsOption) ? direct : throw CliException.Usage($"{DirectOption} needs {TlsOption} FOLDER: nothing goes unencrypted between hosts");
    }

    /// <summary>What the other side listens with: at every address, since those by which it is reached need not be its own.</summary>
    private static IEnumerable<string> Listening(StreamEndpoint? direct, Invocation invocation) => direct is null ? [] :
    [
        string.Create(
            CultureInfo.InvariantCulture,
            $"{ArriveCommand.ListenWord}tcp:{(direct.Host.Contains(':', StringComparison.Ordinal) ? AnyAddress6 : AnyAddress)}:{direct.Port}"),
        ArriveCommand.TlsWord + (invocation.Value(RemoteTlsOption) ?? Path.GetFullPath(invocation.Value(TlsOption)!)),
    ];

    /// <summary>Interfaces that are in a bridge here, which the configuration does not know, with its name.</summary>
    private static Dictionary<string, string> Bridges(VmConfig config)
    {
        Dictionary<string, string> bridges = [];
        foreach (NetConfig net in config.Net ?? [])
        {
            if (net.Tap is { } tap && BridgePort.BridgeOf(tap) is { } bridge)
            {
                bridges[tap] = bridge;
            }
        }

        return bridges;
    }

    private static IEnumerable<string> Taps(Dictionary<string, string> bridges) => bridges.Keys.Select(t => ArriveCommand.TapWord + t);

    private static string AwaitReady(SshCommand arrival, string host, Dictionary<string, string> bridges)
    {
        while (arrival.ReadLine() is { } line)
        {
            if (line.StartsWith(ArriveCommand.Missing, StringComparison.Ordinal))
            {
                Stdio.Error($"cnvm: {host} has no {line[ArriveCommand.Missing.Length..]}: the VM can move there, and not boot again without it");
            }
            else if (line.StartsWith(ArriveCommand.Detached, StringComparison.Ordinal)
                && line[ArriveCommand.Detached.Length..] is var tap && bridges.TryGetValue(tap, out string? bridge))
            {
                Stdio.Error($"cnvm: {host} has no {tap} in a bridge, as it is in {bridge} here: the VM can move there, and nobody reaches it through {tap}");
            }
            else if (line.StartsWith(ArriveCommand.Ready, StringComparison.Ordinal))
            {
                return line[ArriveCommand.Ready.Length..];
            }
        }

        throw new CliException(
            ExitCode.Failure, $"{host} is not ready to receive a VM: what is above says why (cnvm has to be installed there; --remote-cnvm names its path)");
    }

    private static string AwaitArrival(SshCommand arrival, string host, string name)
    {
        string reason = "";
        while (arrival.ReadLine() is { } line)
        {
            if (line.StartsWith(ArriveCommand.Arrived, StringComparison.Ordinal))
            {
                return line[ArriveCommand.Arrived.Length..];
            }

            if (line.StartsWith(ArriveCommand.Gone, StringComparison.Ordinal))
            {
                reason = $" ({line[ArriveCommand.Gone.Length..]})";
            }
        }

        throw new CliException(
            ExitCode.Failure,
            string.Create(CultureInfo.InvariantCulture, $"the VM has moved to {host}, and nothing there says how it is{reason}: look with cnvm show {name} there"));
    }
}
