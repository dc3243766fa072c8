namespace Cnvm.Cli;

/// <summary>Network interfaces as ports of bridges, in the network namespace of this process.</summary>
internal static class BridgePort
{
    private const string Interfaces = "/sys/class/net";

    /// <summary>Name of the bridge that an interface is in; null if it is in none, or not there.</summary>
    public static string? BridgeOf(string name)
    {
        var bridge = new DirectoryInfo(Path.Combine(Interfaces, name, "brport", "bridge"));
        return name.Contains('/', StringComparison.Ordinal) ? null : Path.GetFileName(bridge.LinkTarget);
    }
}
