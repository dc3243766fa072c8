using Cnvm.Linux;
using Cnvm.Linux.Tls;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Makes links of sockets, with mutual TLS if it is wanted: both sides' certificates must lead to the authority in the folder. The files
/// have Cloud Hypervisor's names.
/// </summary>
internal sealed class MigrationTransport
{
    private const string Authorities = "ca-cert.pem";
    private const int ConnectMilliseconds = 10_000;

    private readonly TlsContext? _tls;
    private readonly string? _peerName;
    private readonly TimeSpan _handshakePatience;

    private MigrationTransport(TlsContext? tls, string? peerName, TimeSpan handshakePatience)
    {
        _tls = tls;
        _peerName = peerName;
        _handshakePatience = handshakePatience;
    }

    /// <summary>Without TLS.</summary>
    public static MigrationTransport Plain { get; } = new(null, null, default);

    /// <param name="folder">Has ca-cert.pem, and client-cert.pem and client-key.pem for a source, server-cert.pem and server-key.pem for a target.</param>
    /// <param name="peerName">The name that the other side's certificate must be for; null for any.</param>
    /// <param name="handshakePatience">Longest time for a peer to come through the handshake; null for ten seconds.</param>
    /// <exception cref="TlsException">A file is missing or wrong, or the host has no OpenSSL.</exception>
    public static MigrationTransport Secure(string folder, MigrationSide side, string? peerName, TimeSpan? handshakePatience = null)
    {
        string role = side == MigrationSide.Source ? "client" : "server";
        return new MigrationTransport(
            TlsContext.Load(Path.Combine(folder, Authorities), Path.Combine(folder, $"{role}-cert.pem"), Path.Combine(folder, $"{role}-key.pem")),
            peerName,
            handshakePatience ?? TimeSpan.FromSeconds(10));
    }

    /// <summary>Connects to a target.</summary>
    /// <param name="isGivenUp">Asked several times a second.</param>
    /// <exception cref="IOException">Nobody is there, or one side refuses the other.</exception>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    public MigrationLink Connect(StreamEndpoint endpoint, Func<bool> isGivenUp) =>
        Protect(SocketStream.Connect(endpoint, ConnectMilliseconds, isGivenUp), isServer: false, isGivenUp);

    /// <summary>Takes a connection that somebody has made; the socket is the link's, or closed.</summary>
    /// <exception cref="IOException">The peer does not speak TLS, is not trusted, or takes too long.</exception>
    public MigrationLink Accept(SocketStream socket) => Protect(socket, isServer: true, static () => false);

    private MigrationLink Protect(SocketStream socket, bool isServer, Func<bool> isGivenUp)
    {
        if (_tls is null)
        {
            return new MigrationLink(socket, socket);
        }

        TlsStream? stream = null;
        try
        {
            stream = new TlsStream(socket, _tls, isServer, _peerName);
            stream.Handshake((int)_handshakePatience.TotalMilliseconds, isGivenUp);
            return new MigrationLink(socket, stream);
        }
        catch (Exception e)
        {
            // Closed with unread bytes, the connection would take with it what the peer is told.
            using var link = new MigrationLink(socket, stream is null ? socket : stream);
            if (e is TlsException)
            {
                link.CloseGently();
            }

            throw;
        }
    }
}
