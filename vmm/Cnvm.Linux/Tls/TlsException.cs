namespace Cnvm.Linux.Tls;

/// <summary>A TLS connection cannot be made or cannot go on; the message says why, and which side refuses which.</summary>
public sealed class TlsException(string message) : IOException(message);
