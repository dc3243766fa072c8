namespace Cnvm.Virtio.Vsock;

/// <summary>How a socket device is made.</summary>
public sealed record VsockOptions
{
    /// <summary>Name in configuration and threads, for example <c>_vsock3</c>.</summary>
    public required string Id { get; init; }

    /// <summary>The guest's context id, 3 to 2^32 - 2.</summary>
    public required uint Cid { get; init; }

    /// <summary>
    /// Path of the Unix socket on which host programs ask for guest ports. A guest that connects to port N of the host reaches the
    /// socket <c>path_N</c>.
    /// </summary>
    public required string SocketPath { get; init; }
}
