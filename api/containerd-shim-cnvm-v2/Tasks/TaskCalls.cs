using Cnvm.Shim.Events;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Cnvm.Shim.Streams;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Tasks;

/// <summary>
/// What each call of the Task service does (containerd api/runtime/task/v2/shim.proto). All run at the same time. A caller that goes away (containerd, to
/// be started anew) ends a wait and a look, but no change halfway.
/// </summary>
internal sealed partial class TaskCalls(Pod pod, IEventSink events, StreamOpener streams, HostMetrics metrics, ILogger logger)
{
    private const uint KilledStatus = 128 + SigKill;
    private const uint MostSignals = 64;

    /// <summary>containerd's status of an end that nobody has seen.</summary>
    private const uint UnknownStatus = 255;
    private const int SigKill = 9;
    private const int SigTerm = 15;

    /// <summary>How long Delete waits for output that descendants of a process may hold open.</summary>
    private static readonly TimeSpan OutputLimit = TimeSpan.FromSeconds(5);

    /// <summary>How long the guest has for forgetting a container, before its machine is ended without.</summary>
    private static readonly TimeSpan RemoveLimit = TimeSpan.FromSeconds(10);

    private readonly TaskCompletionSource _shutdown = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends when containerd has no more use for the shim.</summary>
    public Task Shutdown => _shutdown.Task;

    public async Task<CreateTaskResponse> CreateAsync(CreateTaskRequest request, CancellationToken cancellation)
    {
        ContainerTask task = await pod.CreateAsync(request, () => streams.OpenAsync(request.Id, request));
        events.Publish(EventTopic.Create, new TaskCreate
        {
            ContainerId = task.Id,
            Bundle = task.Bundle,
            Rootfs = request.Rootfs,
            Io = new TaskIo { Stdin = request.Stdin, Stdout = request.Stdout, Stderr = request.Stderr, Terminal = request.Terminal },
            Checkpoint = request.Checkpoint,
            Pid = (uint)pod.ProcessId,
        });
        return new CreateTaskResponse { Pid = (uint)pod.ProcessId };
    }

    public Task<StartResponse> StartAsync(StartRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        TaskProcess process = task.Find(request.ExecId);
        if (process.Status != ProcessStatus.Created)
        {
            throw Precondition(task, process, "be started");
        }

        if (process != task.Init)
        {
            ThrowUnlessRunning(task);
        }

        IContainerProcess guest;
        try
        {
            guest = process == task.Init
                ? await StartFirstAsync(task, process)
                : await task.Container.ExecAsync(process.ExecId, process.Spec, CancellationToken.None);
        }
        catch
        {
            // It never will run, and whoever reads its output waits for the end of that. There is no event of its end, as there was none of its start.
            process.SetExited(new ProcessExit(UnknownStatus, DateTimeOffset.UtcNow));
            await process.DisposeAsync();
            throw;
        }

        process.SetRunning(guest);
        if (process == task.Init)
        {
            events.Publish(EventTopic.Start, new TaskStart { ContainerId = task.Id, Pid = (uint)pod.ProcessId });
        }
        else
        {
            events.Publish(EventTopic.ExecStarted, new TaskExecStarted { ContainerId = task.Id, ExecId = process.ExecId, Pid = (uint)pod.ProcessId });
        }

        // Behind the event of the start: a process may have ended by now.
        process.Streams.Start(process.Guest!);
        _ = WatchAsync(task, process);
        return new StartResponse { Pid = (uint)pod.ProcessId };
    });

    public Task<Empty> ExecAsync(ExecProcessRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        Pod.ThrowUnlessName(request.ExecId, "process");
        if (task.Has(request.ExecId))
        {
            throw new TtrpcException(TtrpcCode.AlreadyExists, $"container {task.Id} has a process {request.ExecId} already");
        }

        ThrowUnlessRunning(task);
        if (request.Spec is not { } spec)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"process {request.ExecId}: there is no specification of it");
        }

        var created = new CreateTaskRequest { Stdin = request.Stdin, Stdout = request.Stdout, Stderr = request.Stderr, Terminal = request.Terminal };
        task.Add(new TaskProcess(request.ExecId, created, spec.Value, await streams.OpenAsync(request.ExecId, created)));
        events.Publish(EventTopic.ExecAdded, new TaskExecAdded { ContainerId = task.Id, ExecId = request.ExecId });
        return Empty.Instance;
    });

    public Task<DeleteResponse> DeleteAsync(DeleteRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        TaskProcess process = task.Find(request.ExecId);
        if (process.Status is not (ProcessStatus.Stopped or ProcessStatus.Created))
        {
            throw Precondition(task, process, "be deleted");
        }

        process.SetExited(new ProcessExit(0, null));
        ProcessExit exit = await process.Exit;
        await process.Streams.WaitForOutputAsync(OutputLimit);
        await process.DisposeAsync();
        if (process == task.Init)
        {
            await RemoveAsync(task);
        }
        else
        {
            task.Remove(process.ExecId);
        }

        ProtoTimestamp? at = exit.At is { } time ? ProtoTimestamp.From(time) : null;
        if (process == task.Init)
        {
            events.Publish(EventTopic.Delete, new TaskDelete { ContainerId = task.Id, Pid = (uint)pod.ProcessId, ExitStatus = exit.Status, ExitedAt = at });
        }

        return new DeleteResponse { Pid = (uint)pod.ProcessId, ExitStatus = exit.Status, ExitedAt = at };
    });

    public Task<StateResponse> StateAsync(StateRequest request, CancellationToken cancellation)
    {
        ContainerTask task = pod.Find(request.Id);
        return Task.FromResult(task.Find(request.ExecId).Describe(task.Id, task.Bundle, pod.ProcessId));
    }

    public async Task<WaitResponse> WaitAsync(WaitRequest request, CancellationToken cancellation)
    {
        ProcessExit exit = await pod.Find(request.Id).Find(request.ExecId).Exit.WaitAsync(cancellation);
        return new WaitResponse { ExitStatus = exit.Status, ExitedAt = exit.At is { } at ? ProtoTimestamp.From(at) : null };
    }

    public Task<Empty> KillAsync(KillRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        TaskProcess process = task.Find(request.ExecId);
        if (request.Signal is 0 or > MostSignals)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"signal {request.Signal}: signals are 1 to {MostSignals}");
        }

        switch (process.Status)
        {
            case ProcessStatus.Stopped:
            case ProcessStatus.Running or ProcessStatus.Paused when process.Ended is not null:
                // containerd takes "not found" for what was wanted.
                throw new TtrpcException(TtrpcCode.NotFound, $"process of container {task.Id} has ended: not found");
            case ProcessStatus.Created when process != task.Init || request.Signal is SigKill or SigTerm:
                // Nothing of it has run, and now never will.
                End(task, process, new ProcessExit(128 + request.Signal, DateTimeOffset.UtcNow));
                break;
            default:
                // What the kernel ends with a container's first process needs no signal of its own.
                IEnumerable<TaskProcess> meant = request.All && request.Signal != SigKill ? task.Processes.Where(p => p.Status == ProcessStatus.Running && p.Ended is null) : [process];
                foreach (TaskProcess one in meant)
                {
                    await one.Guest!.SignalAsync((int)request.Signal, CancellationToken.None);
                }

                break;
        }

        return Empty.Instance;
    });

    public Task<PidsResponse> PidsAsync(PidsRequest request, CancellationToken cancellation)
    {
        // The guest's processes have no numbers on the host; the machine's stands for each.
        IEnumerable<TaskProcess> alive = pod.Find(request.Id).Processes.Where(p => p.Status != ProcessStatus.Stopped && p.Guest is not null);
        return Task.FromResult(new PidsResponse { Processes = [.. alive.Select(_ => new ProcessInfo { Pid = (uint)pod.ProcessId })] });
    }

    public Task<Empty> PauseAsync(PauseRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        ThrowUnlessRunning(task);
        task.Init.SetPaused(ProcessStatus.Pausing);
        try
        {
            await task.Container.PauseAsync(CancellationToken.None);
        }
        catch
        {
            task.Init.SetPaused(ProcessStatus.Running);
            throw;
        }

        task.Init.SetPaused(ProcessStatus.Paused);
        events.Publish(EventTopic.Paused, new TaskPaused { ContainerId = task.Id });
        return Empty.Instance;
    });

    public Task<Empty> ResumeAsync(ResumeRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        if (task.Init.Status != ProcessStatus.Paused)
        {
            throw Precondition(task, task.Init, "be resumed");
        }

        await task.Container.ResumeAsync(CancellationToken.None);
        task.Init.SetPaused(ProcessStatus.Running);
        events.Publish(EventTopic.Resumed, new TaskResumed { ContainerId = task.Id });
        return Empty.Instance;
    });

    public Task<Empty> CheckpointAsync(CheckpointTaskRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        if (task.Init.Status is not (ProcessStatus.Running or ProcessStatus.Paused))
        {
            throw Precondition(task, task.Init, "be saved");
        }

        if (!Path.IsPathRooted(request.Path))
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"checkpoint path '{request.Path}': not an absolute path");
        }

        Directory.CreateDirectory(request.Path);
        await pod.SaveAsync(task, request.Path, CancellationToken.None);
        events.Publish(EventTopic.Checkpointed, new TaskCheckpointed { ContainerId = task.Id, Checkpoint = request.Path });
        return Empty.Instance;
    });

    public Task<Empty> ResizePtyAsync(ResizePtyRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        TaskProcess process = task.Find(request.ExecId);
        if (!process.Terminal)
        {
            throw new TtrpcException(TtrpcCode.FailedPrecondition, $"process of container {task.Id} has no terminal");
        }

        // A client sends the size as soon as it is there, perhaps before the start and perhaps behind the end.
        if (process.Guest is { } guest && process.Status != ProcessStatus.Stopped)
        {
            await guest.ResizeAsync(request.Width, request.Height, CancellationToken.None);
        }

        return Empty.Instance;
    });

    public Task<Empty> CloseIoAsync(CloseIoRequest request, CancellationToken cancellation)
    {
        TaskProcess process = pod.Find(request.Id).Find(request.ExecId);
        if (request.Stdin)
        {
            process.Streams.EndInput();
        }

        return Task.FromResult(Empty.Instance);
    }

    public Task<Empty> UpdateAsync(UpdateTaskRequest request, CancellationToken cancellation) => WithTaskAsync(request.Id, async task =>
    {
        if (request.Resources is not { } resources)
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"container {task.Id}: there are no resources to change");
        }

        await task.Container.UpdateAsync(resources.Value, CancellationToken.None);
        return Empty.Instance;
    });

    public async Task<StatsResponse> StatsAsync(StatsRequest request, CancellationToken cancellation) => new()
    {
        Stats = metrics.Of(await pod.Find(request.Id).Container.GetStatsAsync(cancellation)),
    };

    public Task<ConnectResponse> ConnectAsync(ConnectRequest request, CancellationToken cancellation)
    {
        // Asked for a container that is not there (yet), containerd wants to know the shim.
        return Task.FromResult(new ConnectResponse { ShimPid = (uint)Environment.ProcessId, TaskPid = (uint)pod.ProcessId, Version = "v2" });
    }

    public Task<Empty> ShutdownAsync(ShutdownRequest request, CancellationToken cancellation)
    {
        // It comes for each container of a pod.
        if (request.Now || pod.IsEmpty)
        {
            _shutdown.TrySetResult();
        }

        return Task.FromResult(Empty.Instance);
    }

    private static TtrpcException Precondition(ContainerTask task, TaskProcess process, string wanted) => new(
        TtrpcCode.FailedPrecondition,
        $"{(process.ExecId.Length == 0 ? $"container {task.Id}" : $"process {process.ExecId} of container {task.Id}")} is {process.Status.ToString().ToLowerInvariant()} and cannot {wanted}");

    private static void ThrowUnlessRunning(ContainerTask task)
    {
        if (task.Init.Status != ProcessStatus.Running)
        {
            throw Precondition(task, task.Init, "do that: it has to run");
        }
    }

    private async Task<T> WithTaskAsync<T>(string id, Func<ContainerTask, Task<T>> action)
    {
        ContainerTask task = pod.Find(id);
        await task.Gate.WaitAsync(CancellationToken.None);
        try
        {
            return task.IsDeleted ? throw new TtrpcException(TtrpcCode.NotFound, $"container {id}: not found") : await action(task);
        }
        finally
        {
            task.Gate.Release();
        }
    }

    private async Task RemoveAsync(ContainerTask task)
    {
        foreach (TaskProcess exec in task.Execs)
        {
            await exec.DisposeAsync();
            if (exec.Guest is null)
            {
                exec.SetExited(new ProcessExit(KilledStatus, null));
            }
            else
            {
                End(task, exec, exec.Ended ?? new ProcessExit(KilledStatus, DateTimeOffset.UtcNow));
            }
        }

        using (var limit = new CancellationTokenSource(RemoveLimit))
        {
            try
            {
                await task.Container.RemoveAsync(limit.Token);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // The machine is gone, or does not answer: it goes with its last container all the same.
                LogNotRemoved(logger, task.Id, e.Message);
            }
        }

        task.IsDeleted = true;
        await pod.RemoveAsync(task);
        task.Rootfs.Unmount();
    }

    private async Task WatchAsync(ContainerTask task, TaskProcess process)
    {
        uint status;
        try
        {
            status = (uint)await process.Guest!.WaitAsync(CancellationToken.None);
        }
        catch (IOException e)
        {
            LogLost(logger, task.Id, process.ExecId, e.Message);
            status = KilledStatus;
        }

        var exit = new ProcessExit(status, DateTimeOffset.UtcNow);
        process.Ended = exit;
        try
        {
            await process.Streams.WaitForClientsAsync();
        }
        finally
        {
            End(task, process, exit);
        }
    }

    private static async Task<IContainerProcess> StartFirstAsync(ContainerTask task, TaskProcess process)
    {
        await task.Container.StartAsync(CancellationToken.None);
        return process.Guest!;
    }

    private void End(ContainerTask task, TaskProcess process, ProcessExit exit) => process.SetExited(exit, () => events.Publish(EventTopic.Exit, new TaskExit
    {
        ContainerId = task.Id,
        Id = process.ExecId.Length == 0 ? task.Id : process.ExecId,
        Pid = (uint)pod.ProcessId,
        ExitStatus = exit.Status,
        ExitedAt = exit.At is { } at ? ProtoTimestamp.From(at) : null,
    }));

    [LoggerMessage(Level = LogLevel.Warning, Message = "container {Id} is not removed in the guest: {Reason}")]
    private static partial void LogNotRemoved(ILogger logger, string id, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "container {Id}, process '{ExecId}' is lost: {Reason}")]
    private static partial void LogLost(ILogger logger, string id, string execId, string reason);
}
