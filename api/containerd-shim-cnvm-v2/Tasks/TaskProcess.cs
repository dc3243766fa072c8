using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Cnvm.Shim.Streams;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tasks;

/// <summary>A process as containerd sees it: the first one of a container, or a further one. Changes are made under its container's gate; any thread reads.</summary>
internal sealed class TaskProcess : IAsyncDisposable
{
    private readonly TaskCompletionSource<ProcessExit> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CreateTaskRequest _created;
    private readonly Lock _lock = new();
    private ProcessStatus _status = ProcessStatus.Created;
    private volatile ProcessExit? _ended;

    /// <param name="execId">Empty for the first process of a container.</param>
    /// <param name="created">Streams, terminal and bundle.</param>
    /// <param name="spec">JSON of an OCI process; for the first process not looked at.</param>
    /// <param name="streams">Owned from now on.</param>
    public TaskProcess(string execId, CreateTaskRequest created, ReadOnlyMemory<byte> spec, StandardStreams streams)
    {
        ExecId = execId;
        Spec = spec;
        Streams = streams;
        _created = created;
    }

    public string ExecId { get; }

    public ReadOnlyMemory<byte> Spec { get; }

    public bool Terminal => _created.Terminal;

    public StandardStreams Streams { get; }

    /// <summary>The process in the guest; null before its start for all but the first of a container.</summary>
    public IContainerProcess? Guest { get; set; }

    /// <summary>How the process in the guest ended; clients may still be reading what it said, and until then it is not stopped. Null while it is there.</summary>
    public ProcessExit? Ended
    {
        get => _ended;
        set => _ended = value;
    }

    /// <summary>Ends with the process, or when it is deleted without having run.</summary>
    public Task<ProcessExit> Exit => _exit.Task;

    public ProcessStatus Status
    {
        get
        {
            lock (_lock)
            {
                return _status;
            }
        }
    }

    /// <summary>It runs from now on.</summary>
    /// <param name="guest">The process in the guest.</param>
    public void SetRunning(IContainerProcess guest)
    {
        lock (_lock)
        {
            Guest = guest;
            _status = ProcessStatus.Running;
        }
    }

    /// <summary>Changes between running, pausing and paused; does nothing once the process has ended.</summary>
    public void SetPaused(ProcessStatus status)
    {
        lock (_lock)
        {
            if (_status != ProcessStatus.Stopped)
            {
                _status = status;
            }
        }
    }

    /// <summary>It has ended; does nothing if it had before.</summary>
    /// <param name="tell">Called once, before anybody can see the end here: who deletes the process then is told of that after its end. Does not wait.</param>
    public void SetExited(ProcessExit exit, Action? tell = null)
    {
        lock (_lock)
        {
            if (_status == ProcessStatus.Stopped)
            {
                return;
            }

            tell?.Invoke();
            _status = ProcessStatus.Stopped;
        }

        _exit.SetResult(exit);
    }

    /// <param name="id">Of the container.</param>
    /// <param name="bundle">Of the container.</param>
    /// <param name="pid">What stands for the process on the host.</param>
    public StateResponse Describe(string id, string bundle, int pid)
    {
        ProcessExit? exit = Exit.IsCompletedSuccessfully ? Exit.Result : null;
        return new StateResponse
        {
            Id = id,
            Bundle = bundle,
            Pid = (uint)pid,
            Status = Status,
            Stdin = _created.Stdin,
            Stdout = _created.Stdout,
            Stderr = _created.Stderr,
            Terminal = Terminal,
            ExitStatus = exit?.Status ?? 0,
            ExitedAt = exit?.At is { } at ? ProtoTimestamp.From(at) : null,
            ExecId = ExecId,
        };
    }

    public ValueTask DisposeAsync() => Streams.DisposeAsync();
}
