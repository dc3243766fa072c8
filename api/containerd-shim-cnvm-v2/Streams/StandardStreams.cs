using Cnvm.Shim.Messages;
using Cnvm.Shim.Sandboxes;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Streams;

/// <summary>A process's stdin, stdout and stderr: opened when it is made, carried from its start to the end of its output.</summary>
internal sealed partial class StandardStreams : IAsyncDisposable
{
    /// <summary>What a pipe holds; half of an agent's longest message is far above it.</summary>
    private const int BufferBytes = 32 * 1024;

    private readonly StreamEnd? _input;
    private readonly StreamEnd? _output;
    private readonly StreamEnd? _error;
    private readonly LoggingProgram? _program;
    private readonly bool _terminal;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _end = new();
    private Task _inputCopy = Task.CompletedTask;
    private Task _outputCopies = Task.CompletedTask;
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
        Task copies = CopyOutputAsync(process.ReadOutputAsync, _output, "stdout");
        _outputCopies = _terminal ? copies : Task.WhenAll(copies, CopyOutputAsync(process.ReadErrorAsync, _error, "stderr"));
        _inputCopy = CopyInputAsync(process);
    }

    /// <summary>Nothing more comes for stdin but what its clients have written.</summary>
    public void EndInput() => _input?.EndInput();

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
        await Task.WhenAll(_inputCopy, _outputCopies);
        CloseAll();
        if (_program is not null)
        {
            await _program.DisposeAsync();
        }

        _end.Dispose();
    }

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

    [LoggerMessage(Level = LogLevel.Information, Message = "output is still open {Seconds} s after its process ended, and is given up")]
    private static partial void LogOutputGivenUp(ILogger logger, double seconds);
}
