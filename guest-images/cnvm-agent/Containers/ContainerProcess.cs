using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Processes;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Containers;

/// <summary>
/// A process that the host has asked for, and its streams. Output waits in its pipe until somebody reads it, and the process with it once the
/// pipe is full: nothing is buffered here.
/// </summary>
internal sealed class ContainerProcess : IDisposable
{
    private readonly StagedProcess _staged;
    private readonly ProcessTable _processes;
    private readonly FileDescriptor? _terminal;
    private readonly WatchedFile _output;
    private readonly WatchedFile? _errors;
    private readonly Lock _sizing = new();
    private WatchedFile? _input;
    private int _isHungUp;

    public ContainerProcess(string id, StagedProcess staged, ProcessTable processes, DescriptorWatch watch)
    {
        Id = id;
        _staged = staged;
        _processes = processes;
        if (staged.HasTerminal)
        {
            _terminal = new FileDescriptor(FileDescriptor.Duplicate(staged.Output.Value));
            _input = new WatchedFile(watch, new FileDescriptor(FileDescriptor.Duplicate(staged.Output.Value)));
        }
        else
        {
            _input = new WatchedFile(watch, staged.Input!);
            _errors = new WatchedFile(watch, staged.Errors!);
        }

        _output = new WatchedFile(watch, staged.Output);
    }

    /// <summary>As the host names it.</summary>
    public string Id { get; }

    /// <summary>As the sandbox numbers it.</summary>
    public int ProcessId => _staged.Id;

    /// <summary>Exit code, or 128 and the signal.</summary>
    public Task<int> Exit => _staged.Exit;

    public bool HasTerminal => _staged.HasTerminal;

    /// <summary>Its exit has been told.</summary>
    public bool IsWaited { get; private set; }

    /// <summary>It has become its program, or has failed to.</summary>
    public bool IsStarted { get; private set; }

    /// <summary>Lets it become its program.</summary>
    /// <exception cref="Stage.StageException">The program cannot be executed; the process has ended.</exception>
    public void Start()
    {
        IsStarted = true;
        _staged.Start();
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>As <see cref="Exit"/>.</returns>
    public async Task<int> WaitAsync(CancellationToken cancellation)
    {
        int code = await Exit.WaitAsync(cancellation).ConfigureAwait(false);
        IsWaited = true;
        CloseWhenOver();
        return code;
    }

    /// <returns>False if it has ended.</returns>
    public bool Signal(int signal) => _processes.Signal(ProcessId, signal);

    /// <returns>Empty at the end.</returns>
    /// <exception cref="TtrpcException">There is no such stream.</exception>
    public async Task<ReadOnlyMemory<byte>> ReadAsync(bool isErrors, int most, CancellationToken cancellation)
    {
        WatchedFile file = isErrors
            ? _errors ?? throw new TtrpcException(TtrpcCode.FailedPrecondition, $"process {Id} has a terminal: there is no stderr apart from it")
            : _output;
        byte[] buffer = new byte[most];
        int read = await file.ReadAsync(buffer, cancellation).ConfigureAwait(false);
        if (read == 0)
        {
            // To a pipe nobody can write any more; a terminal can be opened again by its name, until its process has ended.
            Interlocked.Exchange(ref _isHungUp, 1);
            if (!HasTerminal)
            {
                file.Dispose();
            }

            CloseWhenOver();
        }

        return buffer.AsMemory(0, read);
    }

    /// <summary>Gives the process input; waits while it does not take any.</summary>
    /// <exception cref="TtrpcException">Its input is closed, here or there.</exception>
    public async Task WriteAsync(ReadOnlyMemory<byte> data, CancellationToken cancellation)
    {
        WatchedFile input = _input ?? throw new TtrpcException(TtrpcCode.FailedPrecondition, $"the input of process {Id} is closed");
        try
        {
            await input.WriteAsync(data, cancellation).ConfigureAwait(false);
        }
        catch (LinuxException e) when (e.Errno is Errno.EPIPE or Errno.EIO)
        {
            throw new TtrpcException(TtrpcCode.FailedPrecondition, $"process {Id} has closed its input");
        }
    }

    /// <summary>No more input comes. A terminal stays open: its end of input is a character.</summary>
    public void CloseInput()
    {
        if (!HasTerminal)
        {
            Interlocked.Exchange(ref _input, null)?.Dispose();
        }
    }

    /// <exception cref="TtrpcException">It has no terminal.</exception>
    public void Resize(uint rows, uint columns)
    {
        if (_terminal is null)
        {
            throw new TtrpcException(TtrpcCode.FailedPrecondition, $"process {Id} has no terminal");
        }

        lock (_sizing)
        {
            // Whoever changes a window's size need not know yet that its process has ended.
            if (!_terminal.IsClosed)
            {
                Terminal.SetSize(_terminal.Value, (ushort)Math.Min(columns, ushort.MaxValue), (ushort)Math.Min(rows, ushort.MaxValue));
            }
        }
    }

    public void Dispose()
    {
        CloseStreams();
        _staged.Orders.Dispose();
        _staged.Reports.Dispose();
    }

    /// <summary>Of processes that have ended the names are kept for a while, and no descriptors: the kernel gives the first process of a machine 4096.</summary>
    private void CloseWhenOver()
    {
        if (Exit.IsCompleted && (HasTerminal ? Volatile.Read(ref _isHungUp) != 0 : _output.IsClosed && _errors!.IsClosed))
        {
            CloseStreams();
        }
    }

    private void CloseStreams()
    {
        Interlocked.Exchange(ref _input, null)?.Dispose();
        _output.Dispose();
        _errors?.Dispose();
        lock (_sizing)
        {
            _terminal?.Dispose();
        }
    }
}
