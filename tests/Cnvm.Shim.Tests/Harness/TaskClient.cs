using System.Net.Sockets;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Tasks;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests.Harness;

/// <summary>containerd as a shim sees it: a connection with calls of the Task service.</summary>
internal sealed class TaskClient : IAsyncDisposable
{
    private readonly TtrpcClient _client;

    private TaskClient(TtrpcClient client) => _client = client;

    public static async Task<TaskClient> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return new TaskClient(new TtrpcClient(new NetworkStream(socket, ownsSocket: true)));
    }

    public Task<TResponse> CallAsync<TRequest, TResponse>(string method, TRequest request)
        where TRequest : class, IProtoMessage<TRequest>
        where TResponse : class, IProtoMessage<TResponse> =>
        _client.CallAsync<TRequest, TResponse>(TaskService.Name, method, request, ShimHarness.Patience);

    public Task<CreateTaskResponse> CreateAsync(CreateTaskRequest request) => CallAsync<CreateTaskRequest, CreateTaskResponse>("Create", request);

    public Task<StartResponse> StartAsync(string id, string exec = "") => CallAsync<StartRequest, StartResponse>("Start", new() { Id = id, ExecId = exec });

    public Task<StateResponse> StateAsync(string id, string exec = "") => CallAsync<StateRequest, StateResponse>("State", new() { Id = id, ExecId = exec });

    public Task<WaitResponse> WaitAsync(string id, string exec = "") => CallAsync<WaitRequest, WaitResponse>("Wait", new() { Id = id, ExecId = exec });

    public Task<DeleteResponse> DeleteAsync(string id, string exec = "") => CallAsync<DeleteRequest, DeleteResponse>("Delete", new() { Id = id, ExecId = exec });

    public Task KillAsync(string id, int signal, string exec = "") => CallAsync<KillRequest, Empty>("Kill", new() { Id = id, ExecId = exec, Signal = (uint)signal });

    public Task CloseInputAsync(string id, string exec = "") => CallAsync<CloseIoRequest, Empty>("CloseIO", new() { Id = id, ExecId = exec, Stdin = true });

    public Task<ConnectResponse> ConnectTaskAsync(string id) => CallAsync<ConnectRequest, ConnectResponse>("Connect", new() { Id = id });

    public Task ShutdownAsync(string id) => CallAsync<ShutdownRequest, Empty>("Shutdown", new() { Id = id });

    public Task ExecAsync(string id, string exec, string process, Streams streams = default) => CallAsync<ExecProcessRequest, Empty>("Exec", new()
    {
        Id = id,
        ExecId = exec,
        Stdin = streams.In ?? "",
        Stdout = streams.Out ?? "",
        Stderr = streams.Err ?? "",
        Spec = new ProtoAny("types.containerd.io/opencontainers/runtime-spec/1/Process", System.Text.Encoding.UTF8.GetBytes(process)),
    });

    public ValueTask DisposeAsync() => _client.DisposeAsync();

    /// <summary>Paths of FIFOs, or other addresses; null for none.</summary>
    public readonly record struct Streams(string? In = null, string? Out = null, string? Err = null);
}
