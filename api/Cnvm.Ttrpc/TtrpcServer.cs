using Cnvm.Ttrpc.Wire;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Ttrpc;

/// <summary>
/// Answers calls on connections that somebody else accepts (ttrpc, unary calls; streams are refused). Callers may be hostile: what they can have at once
/// is bounded, and what they send wrong is answered on its stream or ends their connection.
/// </summary>
/// <param name="services">What can be called; names differ.</param>
/// <param name="log">Failures of handlers, and callers who do not keep to the protocol; null for no log.</param>
public sealed class TtrpcServer(IEnumerable<TtrpcService> services, ILogger? log)
{
    /// <summary>Calls that one connection may have under way; more are refused with <see cref="TtrpcCode.ResourceExhausted"/>.</summary>
    public const int MaxCalls = 1024;

    /// <summary>Bytes of the requests of those calls, refused in the same way.</summary>
    public const int MaxRequestBytes = 64 << 20;

    private readonly Dictionary<string, TtrpcService> _services = services.ToDictionary(s => s.Name, StringComparer.Ordinal);
    private readonly ILogger _log = log ?? NullLogger.Instance;

    /// <summary>
    /// Serves one connection until the other side ends it or does what no speaker of ttrpc does, or <paramref name="cancellation"/> is cancelled; none of
    /// these is an exception. Calls that are under way then are cancelled and waited for.
    /// </summary>
    /// <param name="stream">The connection; closed at the end.</param>
    public async Task ServeAsync(Stream stream, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(stream);
        using var connection = new ServedConnection(stream, this, _log);
        await connection.RunAsync(cancellation).ConfigureAwait(false);
    }

    /// <exception cref="TtrpcException">There is no such service or method.</exception>
    internal CallPreparation Find(string service, string method)
    {
        if (!_services.TryGetValue(service, out TtrpcService? found))
        {
            throw new TtrpcException(TtrpcCode.Unimplemented, $"service {service}");
        }
        return found.TryFind(method, out CallPreparation? preparation) ? preparation! : throw new TtrpcException(TtrpcCode.Unimplemented, $"method {method}");
    }
}
