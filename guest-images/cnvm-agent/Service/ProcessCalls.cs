using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Containers;
using Cnvm.GuestAgent.Spec;
using Cnvm.GuestAgent.Stage;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Service;

/// <summary>Calls about processes and their streams.</summary>
internal sealed class ProcessCalls(Sandbox sandbox)
{
    /// <summary>As much as a pipe holds; one connection may have a thousand reads under way.</summary>
    private const uint MostAtOnce = 1 << 16;

    private const int LastSignal = 64;

    public void AddTo(TtrpcService service) => service
        .Add<ExecProcessRequest, Empty>(AgentService.ExecProcess, (r, _) => Answers.DoAsync(() => Execute(r)))
        .Add<SignalProcessRequest, Empty>(AgentService.SignalProcess, (r, _) => Answers.DoAsync(() => Signal(r)))
        .Add<WaitProcessRequest, WaitProcessResponse>(AgentService.WaitProcess, WaitAsync)
        .Add<WriteStreamRequest, WriteStreamResponse>(AgentService.WriteStdin, WriteAsync)
        .Add<ReadStreamRequest, ReadStreamResponse>(AgentService.ReadStdout, (r, c) => ReadAsync(r, false, c))
        .Add<ReadStreamRequest, ReadStreamResponse>(AgentService.ReadStderr, (r, c) => ReadAsync(r, true, c))
        .Add<CloseStdinRequest, Empty>(AgentService.CloseStdin, (r, _) => Answers.DoAsync(Find(r.ContainerId, r.ExecId).CloseInput))
        .Add<TtyWinResizeRequest, Empty>(AgentService.TtyWinResize, (r, _) => Answers.DoAsync(() => Find(r.ContainerId, r.ExecId).Resize(r.Row, r.Column)));

    private ContainerProcess Find(string container, string process) => sandbox.Find(container).Find(process);

    private void Execute(ExecProcessRequest request)
    {
        Names.Check(request.ExecId, "process");
        Container container = sandbox.Find(request.ContainerId);
        Process process = request.Process ?? throw new TtrpcException(TtrpcCode.InvalidArgument, "the process has no specification");
        StagePlan plan = SpecReader.Process(process, container.Plan.Capabilities);
        if (request.StringUser is { Uid.Length: > 0 } user)
        {
            plan = plan with { UserName = user.Gid.Length > 0 ? $"{user.Uid}:{user.Gid}" : user.Uid };
        }

        container.Execute(request.ExecId, plan);
    }

    private void Signal(SignalProcessRequest request)
    {
        if (request.Signal > LastSignal)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"there is no signal {request.Signal}");
        }

        sandbox.Find(request.ContainerId).Signal(request.ExecId, (int)request.Signal);
    }

    private async Task<WaitProcessResponse> WaitAsync(WaitProcessRequest request, CancellationToken cancellation) =>
        new() { Status = await Find(request.ContainerId, request.ExecId).WaitAsync(cancellation).ConfigureAwait(false) };

    private async Task<WriteStreamResponse> WriteAsync(WriteStreamRequest request, CancellationToken cancellation)
    {
        await Find(request.ContainerId, request.ExecId).WriteAsync(request.Data, cancellation).ConfigureAwait(false);
        return new WriteStreamResponse { Len = (uint)request.Data.Length };
    }

    private async Task<ReadStreamResponse> ReadAsync(ReadStreamRequest request, bool isErrors, CancellationToken cancellation)
    {
        ReadOnlyMemory<byte> data = await Find(request.ContainerId, request.ExecId)
            .ReadAsync(isErrors, (int)Math.Clamp(request.Len, 1, MostAtOnce), cancellation).ConfigureAwait(false);
        // Kata's agent says the end in this way, and its callers wait for an error.
        return data.Length > 0 ? new ReadStreamResponse { Data = data } : throw new TtrpcException(TtrpcCode.Internal, "eof: nothing more will come");
    }
}
