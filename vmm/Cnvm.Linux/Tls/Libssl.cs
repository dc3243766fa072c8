using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Tls;

/// <summary>
/// What is used of OpenSSL 3 (ssl(7), man pages of the functions' names). The libraries are loaded at the first call, so a program that never
/// asks for TLS neither needs nor has them.
/// </summary>
[Abi("openssl/ssl.h openssl/x509v3.h")]
internal static unsafe partial class Libssl
{
    public const string Library = "libssl.so.3";
    private const string Crypto = "libcrypto.so.3";

    /// <summary>Not from exit(3), where other threads may still be at work.</summary>
    public const ulong OPENSSL_INIT_NO_ATEXIT = 0x0008_0000;

    public const int SSL_FILETYPE_PEM = 1;
    public const int SSL_VERIFY_PEER = 1;
    public const int SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;
    public const int SSL_CTRL_SET_SESS_CACHE_MODE = 44;
    public const int SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
    public const nint SSL_SESS_CACHE_OFF = 0;
    public const nint TLS1_3_VERSION = 0x0304;
    public const int SSL_ERROR_WANT_READ = 2;
    public const int SSL_ERROR_ZERO_RETURN = 6;
    public const nint X509_V_OK = 0;
    public const uint X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS = 4;
    public const uint X509_CHECK_FLAG_NEVER_CHECK_SUBJECT = 0x20;

    [LibraryImport(Library)]
    public static partial int OPENSSL_init_ssl(ulong options, nint settings);

    [LibraryImport(Library)]
    public static partial nint TLS_method();

    [LibraryImport(Library)]
    public static partial nint SSL_CTX_new(nint method);

    [LibraryImport(Library)]
    public static partial void SSL_CTX_free(nint context);

    [LibraryImport(Library)]
    public static partial nint SSL_CTX_ctrl(nint context, int command, nint argument, nint pointer);

    [LibraryImport(Library)]
    public static partial int SSL_CTX_set_num_tickets(nint context, nuint count);

    [LibraryImport(Library)]
    public static partial void SSL_CTX_set_default_passwd_cb_userdata(nint context, byte* password);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SSL_CTX_use_certificate_chain_file(nint context, string path);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SSL_CTX_use_PrivateKey_file(nint context, string path, int type);

    [LibraryImport(Library)]
    public static partial int SSL_CTX_check_private_key(nint context);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SSL_CTX_load_verify_file(nint context, string path);

    [LibraryImport(Library)]
    public static partial void SSL_CTX_set_verify(nint context, int mode, nint callback);

    [LibraryImport(Library)]
    public static partial nint SSL_new(nint context);

    [LibraryImport(Library)]
    public static partial void SSL_free(nint ssl);

    [LibraryImport(Library)]
    public static partial void SSL_set_bio(nint ssl, nint read, nint write);

    [LibraryImport(Library)]
    public static partial void SSL_set_connect_state(nint ssl);

    [LibraryImport(Library)]
    public static partial void SSL_set_accept_state(nint ssl);

    [LibraryImport(Library)]
    public static partial void SSL_set_hostflags(nint ssl, uint flags);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SSL_set1_host(nint ssl, string name);

    [LibraryImport(Library)]
    public static partial int SSL_do_handshake(nint ssl);

    [LibraryImport(Library)]
    public static partial int SSL_read(nint ssl, byte* buffer, int bytes);

    [LibraryImport(Library)]
    public static partial int SSL_write(nint ssl, byte* buffer, int bytes);

    [LibraryImport(Library)]
    public static partial int SSL_shutdown(nint ssl);

    [LibraryImport(Library)]
    public static partial int SSL_get_error(nint ssl, int result);

    [LibraryImport(Library)]
    public static partial nint SSL_get_verify_result(nint ssl);

    [LibraryImport(Crypto)]
    public static partial nint BIO_s_mem();

    [LibraryImport(Crypto)]
    public static partial nint BIO_new(nint method);

    [LibraryImport(Crypto)]
    public static partial int BIO_read(nint bio, byte* buffer, int bytes);

    [LibraryImport(Crypto)]
    public static partial int BIO_write(nint bio, byte* buffer, int bytes);

    [LibraryImport(Crypto)]
    public static partial nuint BIO_ctrl_pending(nint bio);

    [LibraryImport(Crypto)]
    public static partial void ERR_clear_error();

    [LibraryImport(Crypto)]
    public static partial nuint ERR_peek_last_error();

    [LibraryImport(Crypto)]
    public static partial byte* ERR_reason_error_string(nuint error);

    [LibraryImport(Crypto)]
    public static partial byte* X509_verify_cert_error_string(nint result);
}
