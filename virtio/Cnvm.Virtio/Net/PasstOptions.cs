namespace Cnvm.Virtio.Net;

/// <summary>How passt(1) is started.</summary>
public sealed record PasstOptions
{
    public const string ProgramName = "passt";

    /// <summary>The program; looked for in PATH if null.</summary>
    public string? Program { get; init; }

    /// <summary>Ports of the host that lead to the guest's, as its --tcp-ports takes them: <c>[ADDRESS/]PORTS[:GUEST PORTS]</c>.</summary>
    public IReadOnlyList<string> TcpPorts { get; init; } = [];

    /// <summary>The same for UDP.</summary>
    public IReadOnlyList<string> UdpPorts { get; init; } = [];

    /// <summary>IPv4 address that the guest is told, <c>ADDRESS/BITS</c>; null for the host's own.</summary>
    public string? Address { get; init; }

    /// <summary>IPv4 gateway that the guest is told; null for the host's own.</summary>
    public string? Gateway { get; init; }
}
