using System.Diagnostics;
using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Streams;

/// <summary>A process's stdin, stdout and stderr: opened when it is made, carried from its start to the end of its output.</summary>
internal sealed partial class StandardStreams : IAsyncDisposable
{
    /// <summary>What a pipe holds; half of an agent's longest message is far above it.</summary>
    private const int BufferBytes = 32 * 1024;

    /// <summary>A client that has read nothing for so long after the process's end has what it wants.</summary>
    private static readonly TimeSpan StillLimit = TimeSpan.FromSeconds(2);

    /// <summary>How long an end is held back for clients that read slowly, or for descendants of the process that say more and more.</summary>
    private static readonly TimeSpan ReadLimit = TimeSpan.FromSeconds(10);

    private readonly StreamEnd? _input;
    private readonly StreamEnd? _output;
    private readonly StreamEnd? _error;
    private readonly LoggingProgram? _program;
    private readonly bool _terminal;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _end = new();

    /// <summary>Nobody waits any longer for clients to read. Not disposed, as it has no timer and the wait for them may be over last.</summary>
    private readonly CancellationTokenSource _clientsGivenUp = new();
    private Task _inputCopy = Task.CompletedTask;
    private Task _outputCopies = Task.CompletedTask;

    /// <summary>Those of <see cref="_outputCopies"/> that have clients.</summary>
    private Task _clientCopies = Task.CompletedTask;
    private int _disposed;

    /// <param name="request">Names them: stdin by the path of a FIFO, or not at all; the others as <see cref="StreamEnd.OpenOutput"/> takes them. With a terminal there is one output.</param>
    /// <param name="program">Takes the outputs, instead of what the request names; null for none. Owned from now on.</param>
    /// <exception cref="Ttrpc.TtrpcException">One cannot be opened; the program stays the caller's.</exception>
    public StandardStreams(ReadinessLoop loop, CreateTaskRequest request, LoggingProgram? program, ILogger logger)
    {
        _terminal = request.Terminal;
        _program = program;
        _logger = logger;
        try
        {
            _input = StreamEnd.OpenInput(loop, request.Stdin);
            _output = program is null ? StreamEnd.OpenOutput(loop, request.Stdout) : program.Output;
            _error = _terminal ? null : program is null ? StreamEnd.OpenOutput(loop, request.Stderr) : program.Error;
        }
        catch
        {
            CloseAll();
            throw;
        }

        if (_terminal)
        {
            program?.Error.Dispose();
        }
    }

    /// <summary>Begins to copy; once.</summary>
    public void Start(IContainerProcess process)
    {
        // What nobody wants is read all the same, or the process would stand still before a full pipe.
        Task output = CopyOutputAsync(process.ReadOutputAsync, _output, "stdout");
        Task error = _terminal ? Task.CompletedTask : CopyOutputAsync(process.ReadErrorAsync, _error, "stderr");
        _outputCopies = Task.WhenAll(output, error);
        _clientCopies = Task.WhenAll(_output is { IsFifo: true } ? output : Task.CompletedTask, _error is { IsFifo: true } ? error : Task.CompletedTask);
        _inputCopy = CopyInputAsync(process);
    }

    /// <summary>Nothing more comes for stdin but what its clients have written.</summary>
    public void EndInput() => _input?.LeaveToClients();

    /// <summary>
    /// The process has ended: waits until its clients have read what it said. Some close their FIFOs when they hear of the end, with what is in them
    /// (containerd 1.6's). It is over when they are gone, have stopped reading or have had their time.
    /// </summary>
    public async Task WaitForClientsAsync()
    {
        long began = Stopwatch.GetTimestamp();
        long before;
        do
        {
            _output?.LeaveIfRead();
            _error?.LeaveIfRead();
            before = Moved;
            TimeSpan left = ReadLimit - Stopwatch.GetElapsedTime(began);
            await _clientCopies.WaitAsync(left < TimeSpan.Zero ? TimeSpan.Zero : left < StillLimit ? left : StillLimit).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        while (!_clientCopies.IsCompleted && Moved != before && Stopwatch.GetElapsedTime(began) < ReadLimit);

        if (!_clientCopies.IsCompleted)
        {
            double waited = Stopwatch.GetElapsedTime(began).TotalSeconds;
            LogClientsGivenUp(_logger, waited);
            _output?.LeaveToClients();
            _error?.LeaveToClients();
            await _clientsGivenUp.CancelAsync();
        }
    }

    /// <summary>Waits for the end of the outputs, but no longer than a time: who has inherited them may outlive the process.</summary>
    public async Task WaitForOutputAsync(TimeSpan limit)
    {
        try
        {
            await _outputCopies.WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            LogOutputGivenUp(_logger, limit.TotalSeconds);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _end.CancelAsync();
        await _clientsGivenUp.CancelAsync();
        await Task.WhenAll(_inputCopy, _outputCopies);
        CloseAll();
        if (_program is not null)
        {
            await _program.DisposeAsync();
        }

        _end.Dispose();
    }

    private long Moved => (_output?.Moved ?? 0) + (_error?.Moved ?? 0);

    private void CloseAll()
    {
        _input?.Dispose();
        _output?.Dispose();
        _error?.Dispose();
    }

    private async Task CopyOutputAsync(Func<Memory<byte>, CancellationToken, ValueTask<int>> read, StreamEnd? end, string name)
    {
        byte[] buffer = new byte[BufferBytes];
        bool canWrite = end is not null;
        try
        {
            while (await read(buffer, _end.Token) is > 0 and int count)
            {
                if (canWrite)
                {
                    canWrite = await TryWriteAsync(end!, buffer.AsMemory(0, count), name);
                }
            }

            if (canWrite)
            {
                await end!.WaitForClientsAsync(_clientsGivenUp.Token);
            }
        }
        catch (OperationCanceledException)
        {
            LogCopyEnded(_logger, name);
        }
        catch (IOException e)
        {
            // The sandbox is gone, or the agent has forgotten the process: there is no more output.
            LogCopyFailed(_logger, name, e.Message);
        }

        // A client that reads to the end learns that this is it.
        end?.Dispose();
    }

    // A full disk costs the log and not the process, which would wait for ever for somebody to read its pipe.
    private async ValueTask<bool> TryWriteAsync(StreamEnd end, ReadOnlyMemory<byte> bytes, string name)
    {
        try
        {
            await end.WriteAsync(bytes, _end.Token);
            return true;
        }
        catch (IOException e)
        {
            LogCopyFailed(_logger, name, e.Message);
            return false;
        }
    }

    private async Task CopyInputAsync(IContainerProcess process)
    {
        byte[] buffer = new byte[BufferBytes];
        try
        {
            while (_input is not null && await _input.ReadAsync(buffer, _end.Token) is > 0 and int count)
            {
                await process.WriteInputAsync(buffer.AsMemory(0, count), _end.Token);
            }

            // The input of a terminal is its output too, and stays.
            if (!_terminal)
            {
                await process.CloseInputAsync(_end.Token);
            }
        }
        catch (OperationCanceledException)
        {
            LogCopyEnded(_logger, "stdin");
        }
        catch (IOException e)
        {
            // The process has closed its input or has ended: what clients still write is theirs to keep.
            LogCopyFailed(_logger, "stdin", e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Stream}: ended before its end")]
    private static partial void LogCopyEnded(ILogger logger, string stream);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Stream}: {Reason}")]
    private static partial void LogCopyFailed(ILogger logger, string stream, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "output is not read, or still open, {Seconds:F1} s after its process ended: its end is told all the same")]
    private static partial void LogClientsGivenUp(ILogger logger, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "output is still open {Seconds} s after its process ended, and is given up")]
    private static partial void LogOutputGivenUp(ILogger logger, double seconds);
}
