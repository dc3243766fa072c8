using System.Globalization;
using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Init;

namespace Cnvm.GuestAgent;

/// <summary>How the agent runs when it is not the first process of a machine: to try it, and in tests.</summary>
/// <param name="Path">Unix socket to listen at; null is vsock.</param>
/// <param name="Port">vsock port.</param>
/// <param name="ControlGroups">Folder of the control group that containers' are made in.</param>
internal sealed record AgentOptions(string? Path, uint Port, string ControlGroups)
{
    public const string Help =
        """
        cnvm-agent: runs containers in a virtual machine, for whoever asks over vsock.

        As the first process of a machine it takes no options. Elsewhere, as root:

          --listen unix:PATH|vsock:PORT   where to listen (vsock:1024)
          --control-group FOLDER          a folder of cgroup2 for the containers' groups (/sys/fs/cgroup)
          --version, --help
        """;

    public static AgentOptions Default { get; } = new(null, AgentService.Port, GuestInit.ControlGroups);

    /// <returns>Null, and what is wrong, if they make no sense.</returns>
    public static AgentOptions? Parse(string[] args, out string problem)
    {
        AgentOptions options = Default;
        problem = "";
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : "";
            switch (args[i])
            {
                case "--listen" when value.StartsWith("unix:", StringComparison.Ordinal) && value.Length > 5:
                    options = options with { Path = value[5..] };
                    break;
                case "--listen" when value.StartsWith("vsock:", StringComparison.Ordinal)
                    && uint.TryParse(value[6..], NumberStyles.None, CultureInfo.InvariantCulture, out uint port):
                    options = options with { Path = null, Port = port };
                    break;
                case "--control-group" when value.StartsWith('/'):
                    options = options with { ControlGroups = value };
                    break;
                default:
                    problem = $"'{args[i]} {value}' is not understood; see --help";
                    return null;
            }
        }

        return options;
    }
}
