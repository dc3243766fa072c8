using System.Globalization;
using Cnvm.Linux;
using Cnvm.Sandbox.Networks;
using Cnvm.Vmm.Config;

namespace Cnvm.Cli.Commands;

/// <summary>In which network namespaces the TAP interfaces of a VM are, here and where it goes to.</summary>
internal static class TeleportNetworks
{
    /// <summary>Says in which one they are there.</summary>
    public const string Option = "--netns";

    /// <summary>What the other side is told of them.</summary>
    /// <param name="space">What the command line says; null for nothing.</param>
    /// <param name="vmm">Asks for the VMM's process id.</param>
    /// <exception cref="CliException">They are in a namespace of their own here, and nobody says in which one there.</exception>
    public static List<string> Words(VmConfig config, string? space, Func<long> vmm, string vm, string host)
    {
        List<NetConfig> taps = [.. (config.Net ?? []).Where(n => !n.VhostUser && n.Fds is null && n.Socket is null && n.Passt is null)];
        List<NetConfig> pods = taps.FindAll(n => n.Tap?.StartsWith(NamespaceSurvey.TapPrefix, StringComparison.Ordinal) ?? false);
        if (space is null)
        {
            return pods.Count == 0 && (taps.Count == 0 || !IsElsewhere(vmm()))
                ? []
                : throw new CliException(
                    ExitCode.Failure,
                    $"{vm} has network interfaces ({string.Join(", ", taps.Select(n => n.Tap ?? n.Id))}) in a network namespace of its own: say with {Option} which one of {host} "
                    + $"they go to (a name in /run/netns, or a path{(pods.Count == 0 ? $"; {NetworkNamespaces.Own} is the one that cnvm has there" : "")})");
        }

        List<string> words = [ArriveCommand.SpaceWord + space];
        words.AddRange(pods.ConvertAll(n => string.Create(CultureInfo.InvariantCulture, $"{ArriveCommand.PodWord}{n.Mtu ?? 0},{n.Mac}@{n.Tap}")));
        return words;
    }

    private static bool IsElsewhere(long vmm)
    {
        try
        {
            return NetworkNamespaces.IdentityOf(string.Create(CultureInfo.InvariantCulture, $"/proc/{vmm}/ns/net")) is { } its
                && its != NetworkNamespaces.IdentityOf(NetworkNamespaces.Own);
        }
        catch (LinuxException e) when (e.Errno is Errno.EACCES or Errno.EPERM)
        {
            // Another user's process: nobody else can be asked where it is.
            return false;
        }
    }
}
