using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Machine;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox.Agent;

/// <summary>Calls to the agent of a guest. Any thread; calls run side by side.</summary>
internal sealed class AgentConnection : IAsyncDisposable
{
    /// <summary>How long after the connection the VMM may end.</summary>
    public static readonly TimeSpan EndIsNear = TimeSpan.FromSeconds(2);
    private readonly TtrpcClient _client;
    private readonly Task<SandboxEnd>? _ended;
    private readonly TimeSpan _callTimeout;

    /// <param name="stream">Owned.</param>
    /// <param name="ended">The end of the VMM; null if it is not this process's.</param>
    /// <param name="callTimeout">For calls that do not wait for the guest's programs.</param>
    public AgentConnection(Stream stream, Task<SandboxEnd>? ended, TimeSpan callTimeout)
    {
        _client = new TtrpcClient(stream);
        _ended = ended;
        _callTimeout = callTimeout;
    }

    /// <summary>Ends when the other side has gone.</summary>
    public Task Closed => _client.Closed;

    /// <summary>A call that the agent answers at once.</summary>
    /// <exception cref="SandboxException">The agent refuses, is too late, or has gone.</exception>
    public Task<TResponse> CallAsync<TRequest, TResponse>(string method, TRequest request, CancellationToken cancellation)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse> =>
        CallAsync<TRequest, TResponse>(AgentService.Name, method, request, _callTimeout, cancellation);

    /// <summary>A call that may take as long as the guest's programs do.</summary>
    /// <inheritdoc cref="CallAsync{TRequest, TResponse}(string, TRequest, CancellationToken)"/>
    public Task<TResponse> WaitAsync<TRequest, TResponse>(string method, TRequest request, CancellationToken cancellation)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse> =>
        CallAsync<TRequest, TResponse>(AgentService.Name, method, request, null, cancellation);

    /// <inheritdoc cref="CallAsync{TRequest, TResponse}(string, TRequest, CancellationToken)"/>
    public Task<TResponse> HealthAsync<TRequest, TResponse>(string method, TRequest request, TimeSpan timeout, CancellationToken cancellation)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse> =>
        CallAsync<TRequest, TResponse>(HealthService.Name, method, request, timeout, cancellation);

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private async Task<TResponse> CallAsync<TRequest, TResponse>(
        string service, string method, TRequest request, TimeSpan? timeout, CancellationToken cancellation)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse>
    {
        try
        {
            return await _client.CallAsync<TRequest, TResponse>(service, method, request, timeout, cancellation).ConfigureAwait(false);
        }
        catch (TtrpcException e) when (e.Code == TtrpcCode.Unavailable)
        {
            throw await GoneAsync(method, e).ConfigureAwait(false);
        }
        catch (TtrpcException e)
        {
            throw new SandboxException(KindOf(e.Code), $"the guest's agent: {method}: {GuestWords.Clean(e.Message)}", e);
        }
        catch (ObjectDisposedException e)
        {
            throw await GoneAsync(method, e).ConfigureAwait(false);
        }
    }

    private static SandboxErrorKind KindOf(TtrpcCode code) => code switch
    {
        TtrpcCode.InvalidArgument => SandboxErrorKind.Invalid,
        TtrpcCode.NotFound => SandboxErrorKind.NotFound,
        TtrpcCode.AlreadyExists => SandboxErrorKind.AlreadyExists,
        TtrpcCode.Unimplemented => SandboxErrorKind.Unsupported,
        TtrpcCode.DeadlineExceeded => SandboxErrorKind.TimedOut,
        _ => SandboxErrorKind.Refused,
    };

    /// <summary>The connection has ended: because the VMM has, as a rule, whose end comes a moment later and says more.</summary>
    private async Task<SandboxException> GoneAsync(string method, Exception inner)
    {
        if (_ended is not null)
        {
            await Task.WhenAny(_ended, EndOfPatienceAsync()).ConfigureAwait(false);
            if (_ended.IsCompletedSuccessfully)
            {
                SandboxEnd end = await _ended.ConfigureAwait(false);
                return VmmProcess.Gone($"{method}: the sandbox has ended: {end.Reason}", inner);
            }
        }

        return VmmProcess.Gone($"{method}: the connection to the guest's agent has ended", inner);
    }

    private async Task EndOfPatienceAsync()
    {
        try
        {
            await _ended!.WaitAsync(EndIsNear).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // The VMM lives: then it is the agent that has gone.
            return;
        }
    }
}
