using Cnvm.Ttrpc.Wire;

namespace Cnvm.Ttrpc;

/// <summary>
/// Answers calls on connections that somebody else accepts (ttrpc, unary calls; streams are refused). Callers may be hostile: what they can have at once
/// is bounded, and what they send wrong is answered on its stream or ends their connection.
/// </summary>
/// <param name="services">What can be called; names differ.</param>
/// <param name="log">Failures of handlers, and callers who do not keep to the protocol; null for no log. <see cref="TtrpcLog"/> is one that writes to a logger.</param>
public sealed class TtrpcServer(IEnumerable<TtrpcService> services, ITtrpcLog? log)
{
    /// <summary>Calls that one connection may have under way; more are refused with <see cref="TtrpcCode.ResourceExhausted"/>.</summary>
    public const int MaxCalls = 1024;

    /// <summary>Bytes of the requests of those calls, refused in the same way.</summary>
    public const int MaxRequestBytes = 64 << 20;

    private readonly Dictionary<string, TtrpcService> _services = ByName(services);

    /// <summary>
    /// Serves one connection until the other side ends it or does what no speaker of ttrpc does, or <paramref name="cancellation"/> is cancelled; none of
    /// these is an exception. Calls that are under way then are cancelled and waited for.
    /// </summary>
    /// <param name="stream">The connection; closed at the end.</param>
    public async Task ServeAsync(Stream stream, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(stream);
        using var connection = new ServedConnection(stream, this, log);
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

    private static Dictionary<string, TtrpcService> ByName(IEnumerable<TtrpcService> services)
    {
        var found = new Dictionary<string, TtrpcService>(StringComparer.Ordinal);
        foreach (TtrpcService service in services)
        {
            found.Add(service.Name, service);
        }
        return found;
    }
}
