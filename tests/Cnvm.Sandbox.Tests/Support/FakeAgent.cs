using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Cnvm.Agent.Protocol;
using Cnvm.Ttrpc;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>
/// What stands behind a VMM's vsock socket in tests: the handshake, then an agent whose containers are a few lines of C#. A process echoes its
/// input, says "err" on its errors, and ends with the exit code that its first argument is; "hang" waits for a signal.
/// </summary>
internal sealed class FakeAgent : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _end = new();
    private readonly ConcurrentDictionary<string, FakeProcess> _processes = new();
    private readonly ConcurrentBag<Socket> _connections = [];
    private readonly Task _accepting;
    private readonly string _protocol;

    /// <param name="path">Of the socket.</param>
    /// <param name="refusals">So many connections are closed at once at first, as while nobody listens in the guest.</param>
    /// <param name="protocol">The version of the protocol that it says it speaks.</param>
    public FakeAgent(string path, int refusals, string protocol)
    {
        _protocol = protocol;
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen();
        _accepting = AcceptAsync(refusals);
    }

    /// <summary>Names of the calls and their requests, in their order.</summary>
    public ConcurrentQueue<object> Requests { get; } = new();

    public T Single<T>() => Assert.Single(Requests.OfType<T>());

    /// <summary>Ends all connections, as a guest does that crashes.</summary>
    public void Disconnect()
    {
        foreach (Socket connection in _connections)
        {
            connection.Dispose();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        Disconnect();
        await _accepting;
        _end.Dispose();
    }

    private async Task AcceptAsync(int refusals)
    {
        try
        {
            while (true)
            {
                Socket connection = await _listener.AcceptAsync(_end.Token);
                if (refusals-- > 0)
                {
                    connection.Dispose();
                    continue;
                }

                _connections.Add(connection);
                _ = ServeAsync(connection);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Disposed.
            return;
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        try
        {
            byte[] buffer = new byte[64];
            int count = await connection.ReceiveAsync(buffer);
            Assert.Equal("CONNECT 1024\n", Encoding.ASCII.GetString(buffer, 0, count));
            await connection.SendAsync("OK 1073741824\n"u8.ToArray());
            await new TtrpcServer([Agent(), Health()], null).ServeAsync(new NetworkStream(connection, ownsSocket: true), _end.Token);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The other side has gone.
            return;
        }
    }

    private TtrpcService Health() => new TtrpcService(HealthService.Name)
        .Add<CheckRequest, VersionCheckResponse>(
            HealthService.Version, (_, _) => Task.FromResult(new VersionCheckResponse { GrpcVersion = _protocol, AgentVersion = "fake" }));

    private TtrpcService Agent()
    {
        var service = new TtrpcService(AgentService.Name);
        Note<CreateSandboxRequest>(AgentService.CreateSandbox);
        Note<UpdateContainerRequest>(AgentService.UpdateContainer);
        Note<PauseContainerRequest>(AgentService.PauseContainer);
        Note<ResumeContainerRequest>(AgentService.ResumeContainer);
        Note<CopyFileRequest>(AgentService.CopyFile);
        Note<SetGuestDateTimeRequest>(AgentService.SetGuestDateTime);
        Note<ReseedRandomDevRequest>(AgentService.ReseedRandomDev);
        Note<AddARPNeighborsRequest>(AgentService.AddARPNeighbors);
        Note<TtyWinResizeRequest>(AgentService.TtyWinResize);
        Note<RemoveContainerRequest>(AgentService.RemoveContainer);
        Note<CreateContainerRequest>(AgentService.CreateContainer, r => Start(r.ContainerId, "", r.Oci!.Process!, run: false));
        Note<StartContainerRequest>(AgentService.StartContainer, r => Find(r.ContainerId, "").Run());
        Note<ExecProcessRequest>(AgentService.ExecProcess, r => Start(r.ContainerId, r.ExecId, r.Process!, run: true));
        Note<SignalProcessRequest>(AgentService.SignalProcess, r => Find(r.ContainerId, r.ExecId).Signal((int)r.Signal));
        Note<CloseStdinRequest>(AgentService.CloseStdin, r => Find(r.ContainerId, r.ExecId).CloseInput());
        service.Add<WriteStreamRequest, WriteStreamResponse>(
            AgentService.WriteStdin, async (r, _) => new WriteStreamResponse { Len = await Find(r.ContainerId, r.ExecId).WriteAsync(r.Data) });
        service.Add<ReadStreamRequest, ReadStreamResponse>(
            AgentService.ReadStdout, async (r, t) => new ReadStreamResponse { Data = await Find(r.ContainerId, r.ExecId).Output.ReadAsync(r.Len, t) });
        service.Add<ReadStreamRequest, ReadStreamResponse>(
            AgentService.ReadStderr, async (r, t) => new ReadStreamResponse { Data = await Find(r.ContainerId, r.ExecId).Errors.ReadAsync(r.Len, t) });
        service.Add<WaitProcessRequest, WaitProcessResponse>(
            AgentService.WaitProcess, async (r, t) => new WaitProcessResponse { Status = await Find(r.ContainerId, r.ExecId).Exit.WaitAsync(t) });
        service.Add<UpdateInterfaceRequest, Interface>(AgentService.UpdateInterface, (request, _) => Task.FromResult(Noted(request, request.Interface!)));
        service.Add<UpdateRoutesRequest, Routes>(AgentService.UpdateRoutes, (request, _) => Task.FromResult(Noted(request, request.Routes!)));
        service.Add<GuestDetailsRequest, GuestDetailsResponse>(
            AgentService.GetGuestDetails, (_, _) => Task.FromResult(new GuestDetailsResponse { AgentDetails = new AgentDetails { Version = "fake" } }));
        return service;

        void Note<T>(string method, Action<T>? then = null)
            where T : class, IProtoMessage<T> =>
            service.Add<T, Empty>(method, (request, _) =>
            {
                Requests.Enqueue(request);
                then?.Invoke(request);
                return Task.FromResult(new Empty());
            });
    }

    private T Noted<T>(object request, T answer)
    {
        Requests.Enqueue(request);
        return answer;
    }

    private FakeProcess Find(string container, string id) => _processes.TryGetValue($"{container}/{id}", out FakeProcess? process)
        ? process
        : throw new TtrpcException(TtrpcCode.NotFound, $"no process '{id}' in '{container}'");

    private void Start(string container, string id, Process process, bool run)
    {
        if (process.Args[0] == "missing")
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, "missing: No such file or directory");
        }

        if (process.Args[0] == "shout")
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, "\u001b[2Jthere\nwas " + new string('x', 100_000));
        }

        var started = new FakeProcess(process);
        if (!_processes.TryAdd($"{container}/{id}", started))
        {
            throw new TtrpcException(TtrpcCode.AlreadyExists, $"'{id}' is there");
        }

        if (run)
        {
            started.Run();
        }
    }
}
