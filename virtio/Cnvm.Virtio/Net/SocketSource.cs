using Cnvm.Linux;

namespace Cnvm.Virtio.Net;

/// <summary>A program that somebody else starts, and that serves a socket.</summary>
/// <param name="path">The socket.</param>
internal sealed class SocketSource(string path) : IStreamSource
{
    public string Name => path;

    public bool StartsProgram => false;

    public UnixStream? TryConnect(out string obstacle)
    {
        UnixStream? stream = UnixStream.TryConnect(path);
        obstacle = stream is null ? $"nobody serves the socket {path}: start the program that does first, for example passt -s {path}" : "";
        return stream;
    }

    public string? LastWords() => null;

    public void Dispose()
    {
        // The program is not ours.
    }
}
