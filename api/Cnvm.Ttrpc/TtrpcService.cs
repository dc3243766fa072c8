using Cnvm.Ttrpc.Wire;

namespace Cnvm.Ttrpc;

/// <summary>A table of methods. It is complete before a server gets it.</summary>
/// <param name="name">The service's full name, such as <c>grpc.AgentService</c>.</param>
public sealed class TtrpcService(string name)
{
    private readonly Dictionary<string, CallPreparation> _methods = new(StringComparer.Ordinal);

    /// <summary>The service's full name.</summary>
    public string Name { get; } = name;

    /// <summary>Adds a method.</summary>
    /// <param name="method">Its name.</param>
    /// <param name="handler">
    /// Answers one call; called on any thread, several at once. The token is cancelled when the caller's time is up, when the caller has gone and when
    /// the server stops. A <see cref="TtrpcException"/> is answered with its code, any other exception as <see cref="TtrpcCode.Internal"/>.
    /// </param>
    /// <returns>This service.</returns>
    /// <exception cref="ArgumentException">There is such a method already.</exception>
    public TtrpcService Add<TRequest, TResponse>(string method, Func<TRequest, CancellationToken, Task<TResponse>> handler)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse>
    {
        ArgumentException.ThrowIfNullOrEmpty(method);
        ArgumentNullException.ThrowIfNull(handler);
        _methods.Add(method, payload =>
        {
            TRequest request = TRequest.Read(payload);
            return async cancellation =>
            {
                TResponse response = await handler(request, cancellation).ConfigureAwait(false);
                return writer => ResponseEnvelope.Write(writer, response);
            };
        });
        return this;
    }

    internal bool TryFind(string method, out CallPreparation? preparation) => _methods.TryGetValue(method, out preparation);
}
