using System.Net.Sockets;

namespace Cnvm.Ttrpc.Tests;

/// <summary>The two ends of a Unix socket.</summary>
internal sealed class StreamPair : IDisposable
{
    public StreamPair()
    {
        string folder = Directory.CreateTempSubdirectory("cnvm-ttrpc-").FullName;
        try
        {
            var address = new UnixDomainSocketEndPoint(Path.Combine(folder, "s"));
            using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            listener.Bind(address);
            listener.Listen(1);
            var near = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            near.Connect(address);
            Near = new NetworkStream(near, ownsSocket: true);
            Far = new NetworkStream(listener.Accept(), ownsSocket: true);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public NetworkStream Near { get; }

    public NetworkStream Far { get; }

    public void Dispose()
    {
        Near.Dispose();
        Far.Dispose();
    }
}
