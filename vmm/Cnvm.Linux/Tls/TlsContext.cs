using System.Runtime.InteropServices;

namespace Cnvm.Linux.Tls;

/// <summary>
/// One side's certificate and key, and the authorities that it believes: what mutual TLS 1.3 begins with. Both sides must show a certificate
/// that leads to one of the authorities; there are no sessions to resume, and no older versions. Any thread; the connections share it.
/// </summary>
public sealed unsafe class TlsContext : SafeHandle
{
    // Nobody is asked on the terminal: a key that has a password cannot be read with this one.
    // SAFETY: a string of no characters that lives as long as the process.
    private static readonly byte* NoPassword = (byte*)NativeMemory.AllocZeroed(1);

    private TlsContext(nint context)
        : base(0, ownsHandle: true) => SetHandle(context);

    public override bool IsInvalid => handle == 0;

    /// <summary>Reads the files, all of them PEM.</summary>
    /// <param name="authorities">Certificates of the authorities that the other side's certificate may come from.</param>
    /// <param name="certificate">This side's, followed by those between it and the authority.</param>
    /// <param name="key">Belongs to the certificate; without a password.</param>
    /// <exception cref="TlsException">The library is not installed, or a file is missing or wrong; says which.</exception>
    public static TlsContext Load(string authorities, string certificate, string key)
    {
        ArgumentNullException.ThrowIfNull(authorities);
        ArgumentNullException.ThrowIfNull(certificate);
        ArgumentNullException.ThrowIfNull(key);
        if (!NativeLibrary.TryLoad(Libssl.Library, out _))
        {
            throw new TlsException($"{Libssl.Library} (OpenSSL 3) is not installed on this host");
        }

        foreach (string path in (string[])[authorities, certificate, key])
        {
            Require(path);
        }

        _ = Libssl.OPENSSL_init_ssl(Libssl.OPENSSL_INIT_NO_ATEXIT, 0);
        var context = new TlsContext(Libssl.SSL_CTX_new(Libssl.TLS_method()));
        try
        {
            context.Configure(authorities, certificate, key);
            return context;
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <summary>The last thing that OpenSSL found wrong in this thread.</summary>
    internal static string LastReason()
    {
        byte* text = Libssl.ERR_reason_error_string(Libssl.ERR_peek_last_error());
        return text == null ? "no reason given" : Marshal.PtrToStringUTF8((nint)text)!;
    }

    /// <summary>A connection of this context; free it.</summary>
    internal nint NewConnection()
    {
        bool isHeld = false;
        try
        {
            DangerousAddRef(ref isHeld);
            nint ssl = Libssl.SSL_new(handle);
            return ssl != 0 ? ssl : throw new TlsException($"no TLS connection can be made: {LastReason()}");
        }
        finally
        {
            if (isHeld)
            {
                DangerousRelease();
            }
        }
    }

    protected override bool ReleaseHandle()
    {
        Libssl.SSL_CTX_free(handle);
        return true;
    }

    private void Configure(string authorities, string certificate, string key)
    {
        if (IsInvalid)
        {
            throw new TlsException($"TLS cannot be set up: {LastReason()}");
        }

        Libssl.ERR_clear_error();
        Check((int)Libssl.SSL_CTX_ctrl(handle, Libssl.SSL_CTRL_SET_MIN_PROTO_VERSION, Libssl.TLS1_3_VERSION, 0), "TLS 1.3 is not possible here");
        _ = Libssl.SSL_CTX_ctrl(handle, Libssl.SSL_CTRL_SET_SESS_CACHE_MODE, Libssl.SSL_SESS_CACHE_OFF, 0);
        Check(Libssl.SSL_CTX_set_num_tickets(handle, 0), "TLS cannot be set up");
        Libssl.SSL_CTX_set_verify(handle, Libssl.SSL_VERIFY_PEER | Libssl.SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 0);

        Libssl.SSL_CTX_set_default_passwd_cb_userdata(handle, NoPassword);
        Check(Libssl.SSL_CTX_load_verify_file(handle, authorities), $"{authorities} has no certificate that can be read");
        Check(Libssl.SSL_CTX_use_certificate_chain_file(handle, certificate), $"{certificate} has no certificate that can be read");
        Check(Libssl.SSL_CTX_use_PrivateKey_file(handle, key, Libssl.SSL_FILETYPE_PEM), $"{key} has no key without a password that belongs to {certificate}");
        Check(Libssl.SSL_CTX_check_private_key(handle), $"{key} does not belong to {certificate}");
    }

    private static void Check(int result, string problem)
    {
        if (result != 1)
        {
            throw new TlsException($"{problem}: {LastReason()}");
        }
    }

    /// <summary>Says what OpenSSL would say less clearly.</summary>
    private static void Require(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TlsException($"{path} cannot be read: {e.Message}");
        }
    }
}
