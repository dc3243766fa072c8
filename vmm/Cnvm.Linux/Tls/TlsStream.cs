using System.Runtime.InteropServices;

namespace Cnvm.Linux.Tls;

/// <summary>
/// TLS on a socket that it does not own. Like the socket, it blocks the thread that reads or writes: one reader and one writer. OpenSSL
/// works between memory buffers, so that waiting, limits in time and giving up remain the socket's.
/// </summary>
public sealed unsafe class TlsStream : SpanStream
{
    /// <summary>Written to OpenSSL in one go.</summary>
    private const int ChunkBytes = 128 << 10;

    // Eight records of 16 KiB in a chunk, each of which gets 22 bytes longer; handshakes are far shorter.
    private const int LeavingBytes = ChunkBytes + (4 << 10);
    private const int ArrivedBytes = 256 << 10;

    /// <summary>How long a handshake waits before it looks whether it has been given up.</summary>
    private const int SliceMilliseconds = 200;

    private readonly SocketStream _socket;

    // OpenSSL's connection serves one thread at a time. What it makes leaves in the order in which it was made.
    private readonly Lock _gate = new();
    private readonly Lock _leavingGate = new();
    private readonly byte[] _arrived = new byte[ArrivedBytes];
    private readonly byte[] _leaving = new byte[LeavingBytes];
    private readonly nint _in;
    private readonly nint _out;
    private nint _ssl;

    /// <param name="socket">Connected; not owned.</param>
    /// <param name="isServer">The side that did not connect.</param>
    /// <param name="peerName">DNS name or address that the other side's certificate must be for (subjectAltName); null for any.</param>
    /// <exception cref="TlsException">OpenSSL cannot do it.</exception>
    public TlsStream(SocketStream socket, TlsContext context, bool isServer, string? peerName)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentNullException.ThrowIfNull(context);
        _socket = socket;
        _ssl = context.NewConnection();
        _in = Libssl.BIO_new(Libssl.BIO_s_mem());
        _out = Libssl.BIO_new(Libssl.BIO_s_mem());

        // From here on they are the connection's.
        Libssl.SSL_set_bio(_ssl, _in, _out);
        if (isServer)
        {
            Libssl.SSL_set_accept_state(_ssl);
        }
        else
        {
            Libssl.SSL_set_connect_state(_ssl);
        }

        if (peerName is not null)
        {
            Libssl.SSL_set_hostflags(_ssl, Libssl.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | Libssl.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
            if (Libssl.SSL_set1_host(_ssl, peerName) != 1)
            {
                Dispose();
                throw new TlsException($"'{peerName}' is not a name that a certificate can have");
            }
        }
    }

    public override int ReadTimeout
    {
        get => _socket.ReadTimeout;
        set => _socket.ReadTimeout = value;
    }

    public override int WriteTimeout
    {
        get => _socket.WriteTimeout;
        set => _socket.WriteTimeout = value;
    }

    /// <summary>
    /// Agrees on keys and checks the other side's certificate, before anything else. The side that connected hears only when it reads that
    /// its own was refused.
    /// </summary>
    /// <param name="timeoutMilliseconds">For all of it, however the peer spreads its bytes.</param>
    /// <param name="isGivenUp">Asked several times a second; true ends it.</param>
    /// <exception cref="TlsException">One side refuses the other, or the peer does not speak TLS, or not in time.</exception>
    /// <exception cref="IOException">The connection failed.</exception>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    public void Handshake(int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        ArgumentNullException.ThrowIfNull(isGivenUp);
        long end = Environment.TickCount64 + timeoutMilliseconds;
        (int read, int write) = (_socket.ReadTimeout, _socket.WriteTimeout);
        while (true)
        {
            string? failure = null;
            bool isDone;
            lock (_gate)
            {
                Libssl.ERR_clear_error();
                int result = Libssl.SSL_do_handshake(_ssl);
                isDone = result == 1;
                if (!isDone && Libssl.SSL_get_error(_ssl, result) != Libssl.SSL_ERROR_WANT_READ)
                {
                    failure = Problem();
                }
            }

            _socket.WriteTimeout = Math.Max((int)(end - Environment.TickCount64), 1);
            Leave();
            if (failure is not null)
            {
                throw new TlsException(failure);
            }

            if (isDone)
            {
                (_socket.ReadTimeout, _socket.WriteTimeout) = (read, write);
                return;
            }

            ReadDuringHandshake(end, timeoutMilliseconds, isGivenUp);
        }
    }

    /// <summary>Tells the peer that nothing more will be sent; the socket stays open.</summary>
    public void CloseWriting()
    {
        lock (_gate)
        {
            if (_ssl != 0)
            {
                Libssl.ERR_clear_error();
                _ = Libssl.SSL_shutdown(_ssl);
            }
        }

        Leave();
    }

    public override int Read(Span<byte> buffer)
    {
        while (true)
        {
            lock (_gate)
            {
                int count = ReadDecrypted(buffer, out bool isEnd);
                if (count > 0 || isEnd || buffer.IsEmpty)
                {
                    return count;
                }
            }

            if (!Arrive())
            {
                return 0;
            }
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        lock (_leavingGate)
        {
            while (buffer.Length > 0)
            {
                ReadOnlySpan<byte> chunk = buffer[..Math.Min(buffer.Length, ChunkBytes)];
                lock (_gate)
                {
                    ThrowIfClosed();
                    Libssl.ERR_clear_error();
                    fixed (byte* p = chunk)
                    {
                        // SAFETY: the library reads within the pinned chunk. Into memory it writes all or fails.
                        if (Libssl.SSL_write(_ssl, p, chunk.Length) != chunk.Length)
                        {
                            throw new TlsException(Problem());
                        }
                    }
                }

                Leave();
                buffer = buffer[chunk.Length..];
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        lock (_gate)
        {
            if (_ssl != 0)
            {
                // SAFETY: nobody uses it outside of the lock, and all look whether it is still there.
                Libssl.SSL_free(_ssl);
                _ssl = 0;
            }
        }

        base.Dispose(disposing);
    }

    /// <summary>What of the bytes that have arrived belongs to whole records; 0 if there is none yet.</summary>
    private int ReadDecrypted(Span<byte> buffer, out bool isEnd)
    {
        ThrowIfClosed();
        isEnd = false;
        int total = 0;
        fixed (byte* p = buffer)
        {
            while (total < buffer.Length)
            {
                Libssl.ERR_clear_error();

                // SAFETY: the library writes within the pinned buffer.
                int count = Libssl.SSL_read(_ssl, p + total, buffer.Length - total);
                if (count > 0)
                {
                    total += count;
                    continue;
                }

                int error = Libssl.SSL_get_error(_ssl, count);
                isEnd = error == Libssl.SSL_ERROR_ZERO_RETURN;
                if (error != Libssl.SSL_ERROR_WANT_READ && !isEnd && total == 0)
                {
                    throw new TlsException(Problem());
                }

                break;
            }
        }

        return total;
    }

    /// <summary>Waits for bytes; false if the peer has closed.</summary>
    private bool Arrive()
    {
        int count = _socket.Read(_arrived);
        lock (_gate)
        {
            ThrowIfClosed();
            fixed (byte* p = _arrived)
            {
                // SAFETY: the library copies what is within the pinned buffer.
                return count > 0 && Libssl.BIO_write(_in, p, count) == count;
            }
        }
    }

    private void ReadDuringHandshake(long end, int timeoutMilliseconds, Func<bool> isGivenUp)
    {
        while (true)
        {
            long left = end - Environment.TickCount64;
            if (left <= 0)
            {
                throw new TlsException($"the peer did not finish the TLS handshake within {timeoutMilliseconds} ms");
            }

            if (isGivenUp())
            {
                throw new OperationCanceledException();
            }

            try
            {
                _socket.ReadTimeout = (int)Math.Min(left, SliceMilliseconds);
                if (!Arrive())
                {
                    throw new TlsException("the peer closed the connection during the TLS handshake");
                }

                return;
            }
            catch (LinuxException e) when (e.Errno == Errno.ETIMEDOUT)
            {
                continue;
            }
        }
    }

    /// <summary>Sends what OpenSSL has made.</summary>
    private void Leave()
    {
        lock (_leavingGate)
        {
            while (true)
            {
                int count;
                lock (_gate)
                {
                    if (_ssl == 0 || Libssl.BIO_ctrl_pending(_out) == 0)
                    {
                        return;
                    }

                    fixed (byte* p = _leaving)
                    {
                        // SAFETY: the library writes within the pinned buffer.
                        count = Libssl.BIO_read(_out, p, _leaving.Length);
                    }
                }

                _socket.Write(_leaving.AsSpan(0, count));
            }
        }
    }

    /// <summary>Why the last call failed, in words that say which side refuses.</summary>
    private string Problem()
    {
        nint verified = Libssl.SSL_get_verify_result(_ssl);
        if (verified != Libssl.X509_V_OK)
        {
            return $"the peer's certificate is not accepted: {Marshal.PtrToStringUTF8((nint)Libssl.X509_verify_cert_error_string(verified))}";
        }

        // Alerts are what the other side has sent (RFC 8446 §6); before the word stands a version that means nothing.
        const string Alert = " alert ";
        string reason = TlsContext.LastReason();
        int at = reason.IndexOf(Alert, StringComparison.Ordinal);
        return at < 0 ? $"TLS failed: {reason}" : $"the peer refuses this side in the TLS handshake: {reason[(at + Alert.Length)..]}";
    }

    private void ThrowIfClosed()
    {
        if (_ssl == 0)
        {
            throw new TlsException("the connection was closed");
        }
    }
}
