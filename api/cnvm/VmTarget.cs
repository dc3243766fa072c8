using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>The VM that a command is about.</summary>
/// <param name="Name">Null if it was given by its socket.</param>
/// <param name="Socket">Path of its API socket.</param>
/// <param name="Pid">The VMM's process; null if it was given by its socket.</param>
internal sealed record VmTarget(string? Name, string Socket, int? Pid)
{
    /// <summary>Its name, else its socket.</summary>
    public string Display => Name ?? Socket;

    /// <summary>Finds the VM that was named, by its name or the beginning of it, or by its socket; or the only one, if that is safe.</summary>
    /// <exception cref="CliException">There is none, or it is not clear which.</exception>
    public static VmTarget Find(Invocation invocation)
    {
        string? socket = invocation.ApiSocket ?? (invocation.Vm is { } vm && vm.Contains('/', StringComparison.Ordinal) ? vm : null);
        if (socket is not null)
        {
            // As the VMM's own flag is written.
            const string Prefix = "path=";
            return new VmTarget(null, socket.StartsWith(Prefix, StringComparison.Ordinal) ? socket[Prefix.Length..] : socket, null);
        }

        if (invocation.Vm is null && invocation.Command!.Vm != VmUse.Optional)
        {
            throw new CliException(
                ExitCode.NoSuchVm, $"which VM? Give its name (see cnvm ps) or {Option.ApiSocket}; usage: cnvm {invocation.Command.Usage}");
        }

        IReadOnlyList<VmEntry> running = VmRegistry.List();
        return Of(invocation.Vm is { } name ? Choose(running, name) : ChooseOnly(running));
    }

    /// <summary>The VM of this name, or the beginning of it, or with this socket.</summary>
    /// <exception cref="CliException">There is none, or it is not clear which.</exception>
    public static VmTarget Named(string name) =>
        name.Contains('/', StringComparison.Ordinal) ? new VmTarget(null, name, null) : Of(Choose(VmRegistry.List(), name));

    /// <summary>Connects to the VMM.</summary>
    /// <exception cref="CliException">Nobody serves the socket.</exception>
    public CnvmClient Connect()
    {
        try
        {
            return CnvmClient.Connect(Socket);
        }
        catch (LinuxException e)
        {
            throw new CliException(ExitCode.Failure, $"no VMM answers at {Socket}: {e.Message}; is it running? (see cnvm ps)");
        }
    }

    public static VmTarget Of(VmEntry entry) => new(entry.Name, entry.ApiSocket, entry.Pid);

    private static VmEntry Choose(IReadOnlyList<VmEntry> running, string name)
    {
        if (running.FirstOrDefault(e => e.Name == name) is { } exact)
        {
            return exact;
        }

        VmEntry[] candidates = [.. running.Where(e => e.Name.StartsWith(name, StringComparison.Ordinal))];
        return candidates.Length switch
        {
            1 => candidates[0],
            0 => throw new CliException(ExitCode.NoSuchVm, $"no VM named '{name}' is running; {Running(running)}"),
            _ => throw new CliException(ExitCode.NoSuchVm, $"'{name}' is the beginning of {Names(candidates)}: give more of the name"),
        };
    }

    private static VmEntry ChooseOnly(IReadOnlyList<VmEntry> running) => running.Count switch
    {
        1 => running[0],
        0 => throw new CliException(ExitCode.NoSuchVm, "no VM is running; start one with cnvm start"),
        _ => throw new CliException(ExitCode.NoSuchVm, $"which VM? {Running(running)}"),
    };

    private static string Running(IReadOnlyList<VmEntry> running) =>
        running.Count == 0 ? "none is (see cnvm start --help)" : $"running: {Names(running)}";

    private static string Names(IReadOnlyList<VmEntry> entries) => string.Join(", ", entries.Select(e => e.Name));
}
