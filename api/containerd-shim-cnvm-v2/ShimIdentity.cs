using System.Security.Cryptography;
using System.Text;

namespace Cnvm.Shim;

/// <summary>Whose shim this is, and the places that follow from it.</summary>
/// <param name="Address">Path of containerd's own socket.</param>
/// <param name="Namespace">containerd's namespace.</param>
/// <param name="Id">Of the pod, or of the only container.</param>
internal sealed record ShimIdentity(string Address, string Namespace, string Id)
{
    private const string SocketDirectory = "/run/containerd/s";
    private string? _digest;

    /// <summary>Of a process that was told its socket, whose name is the digest: the library that computes one would be half of what such a process has in memory.</summary>
    public static ShimIdentity OfSocket(string address, string containerdNamespace, string id, string socket) =>
        new(address, containerdNamespace, id) { _digest = Path.GetFileName(socket) };

    /// <summary>Path of the socket that the shim serves: containerd's convention, so that whoever knows the names finds it (runtime/v2/shim/util_unix.go).</summary>
    public string Socket => Path.Combine(SocketDirectory, Digest);

    /// <summary>The socket as containerd wants to read it.</summary>
    public string SocketUri => "unix://" + Socket;

    /// <summary>Folder of the sandbox. Bundles have paths too long for a socket's.</summary>
    public string SandboxDirectory => Path.Combine(
        Environment.GetEnvironmentVariable("CNVM_RUNTIME_DIR") is { } chosen && Path.IsPathRooted(chosen) ? chosen : "/run/cnvm", "shim-" + Digest[..24]);

    /// <summary>Name of the sandbox among the virtual machines of this host: containers of other namespaces may have the same identifier.</summary>
    public string SandboxName => $"{Id[..Math.Min(Id.Length, 40)]}-{Digest[..8]}";

    private string Digest => _digest ??= Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{Address}/{Namespace}/{Id}")));
}
