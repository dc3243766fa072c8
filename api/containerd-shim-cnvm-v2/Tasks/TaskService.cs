using Cnvm.Shim.Messages;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Tasks;

/// <summary>The calls of <c>containerd.task.v2.Task</c>: names, and what becomes of errors.</summary>
internal sealed partial class TaskService(TaskCalls calls, ILogger logger)
{
    /// <summary>Name of the service on the wire.</summary>
    public const string Name = "containerd.task.v2.Task";

    public TtrpcService Build()
    {
        var service = new TtrpcService(Name);
        Add<StateRequest, StateResponse>("State", calls.StateAsync);
        Add<CreateTaskRequest, CreateTaskResponse>("Create", calls.CreateAsync);
        Add<StartRequest, StartResponse>("Start", calls.StartAsync);
        Add<DeleteRequest, DeleteResponse>("Delete", calls.DeleteAsync);
        Add<PidsRequest, PidsResponse>("Pids", calls.PidsAsync);
        Add<PauseRequest, Empty>("Pause", calls.PauseAsync);
        Add<ResumeRequest, Empty>("Resume", calls.ResumeAsync);
        Add<CheckpointTaskRequest, Empty>("Checkpoint", calls.CheckpointAsync);
        Add<KillRequest, Empty>("Kill", calls.KillAsync);
        Add<ExecProcessRequest, Empty>("Exec", calls.ExecAsync);
        Add<ResizePtyRequest, Empty>("ResizePty", calls.ResizePtyAsync);
        Add<CloseIoRequest, Empty>("CloseIO", calls.CloseIoAsync);
        Add<UpdateTaskRequest, Empty>("Update", calls.UpdateAsync);
        Add<WaitRequest, WaitResponse>("Wait", calls.WaitAsync);
        Add<StatsRequest, StatsResponse>("Stats", calls.StatsAsync);
        Add<ConnectRequest, ConnectResponse>("Connect", calls.ConnectAsync);
        Add<ShutdownRequest, Empty>("Shutdown", calls.ShutdownAsync);
        return service;

        void Add<TRequest, TResponse>(string method, Func<TRequest, CancellationToken, Task<TResponse>> handler)
            where TRequest : class, IProtoMessage<TRequest>
            where TResponse : class, IProtoMessage<TResponse> =>
            service.Add<TRequest, TResponse>(method, (request, cancellation) => RunAsync(method, handler, request, cancellation));
    }

    private async Task<TResponse> RunAsync<TRequest, TResponse>(
        string method, Func<TRequest, CancellationToken, Task<TResponse>> handler, TRequest request, CancellationToken cancellation)
    {
        try
        {
            return await handler(request, cancellation);
        }
        catch (TtrpcException e)
        {
            LogRefused(logger, method, e.Code, e.Message);
            throw;
        }
        catch (ProtoException e)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, e.Message);
        }
        catch (Exception e) when (e is IOException or ShimException or UnauthorizedAccessException or TimeoutException)
        {
            // People read it behind 'ctr' or in a pod's events.
            LogFailed(logger, method, e);
            throw new TtrpcException(TtrpcCode.Unknown, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Method}: {Code}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string method, TtrpcCode code, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} fails")]
    private static partial void LogFailed(ILogger logger, string method, Exception error);
}
