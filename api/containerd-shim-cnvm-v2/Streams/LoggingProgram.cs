using Cnvm.Linux;
using Cnvm.Ttrpc;
using Microsoft.Extensions.Logging;

namespace Cnvm.Shim.Streams;

/// <summary>
/// A program that takes a process's output (<c>binary:///PROGRAM?ARGUMENT=VALUE</c>), as containerd's clients name one for a log driver. It reads
/// stdout from descriptor 3 and stderr from 4, says by a byte to 5 or by closing it that it is ready, and learns from CONTAINER_ID and
/// CONTAINER_NAMESPACE whose they are (containerd runtime/v2 README, "Logging").
/// </summary>
internal sealed partial class LoggingProgram : IAsyncDisposable
{
    private const string Scheme = "binary://";
    private const int SigTerm = 15;

    /// <summary>A program that is not ready by then keeps a container from being made.</summary>
    private static readonly TimeSpan ReadyLimit = TimeSpan.FromSeconds(10);

    /// <summary>How long it has for the last lines once they are there, before it is asked to end.</summary>
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(2);

    /// <summary>As long as runc's shim waits after it has asked.</summary>
    private static readonly TimeSpan TermLimit = TimeSpan.FromSeconds(12);

    private readonly ReadinessLoop _loop;
    private readonly DetachedProcess _process;
    private readonly string _path;
    private readonly ILogger _logger;

    private LoggingProgram(ReadinessLoop loop, DetachedProcess process, string path, StreamEnd output, StreamEnd error, ILogger logger)
    {
        _loop = loop;
        _process = process;
        _path = path;
        Output = output;
        Error = error;
        _logger = logger;
    }

    /// <summary>Where stdout goes. Whoever takes it disposes it; so does this object.</summary>
    public StreamEnd Output { get; }

    /// <summary>Where stderr goes; the same.</summary>
    public StreamEnd Error { get; }

    public static bool IsNamedBy(string address) => address.StartsWith(Scheme, StringComparison.Ordinal);

    /// <summary>Starts the program and waits until it is ready.</summary>
    /// <param name="id">Of the container or process whose output it takes.</param>
    /// <param name="space">containerd's namespace.</param>
    /// <exception cref="TtrpcException">The address names none, or it cannot be started or does not become ready.</exception>
    public static async Task<LoggingProgram> StartAsync(ReadinessLoop loop, string address, string id, string space, ILogger logger)
    {
        (string path, IReadOnlyList<string> arguments) = Parse(address);
        using PipePair output = PipePair.Create();
        using PipePair error = PipePair.Create();
        using PipePair ready = PipePair.Create();
        DetachedProcess process = Start(path, arguments, id, space, [output.Reader.Value, error.Reader.Value, ready.Writer.Value]);
        // What the program has is now its alone: its end is seen here, and the end of the output there.
        output.Reader.Dispose();
        error.Reader.Dispose();
        ready.Writer.Dispose();
        var program = new LoggingProgram(loop, process, path, StreamEnd.OfPipe(loop, output.Writer), StreamEnd.OfPipe(loop, error.Writer), logger);
        if (!await program.IsReadableWithinAsync(ready.Reader.Value, ReadyLimit))
        {
            await program.DisposeAsync();
            throw new TtrpcException(TtrpcCode.DeadlineExceeded, $"the logging program {path} was not ready within {ReadyLimit.TotalSeconds} s: it closes descriptor 5 when it is");
        }

        return program;
    }

    /// <summary>Waits for the program's end, which follows that of the output; asks for it, and ends it, if it does not come.</summary>
    public async ValueTask DisposeAsync()
    {
        Output.Dispose();
        Error.Dispose();
        bool endsByItself = await IsReadableWithinAsync(_process.Fd, EndLimit);
        if (!endsByItself)
        {
            _process.Signal(SigTerm);
            if (!await IsReadableWithinAsync(_process.Fd, TermLimit))
            {
                LogKilled(_logger, _path, TermLimit.TotalSeconds);
                _process.Signal(Children.SIGKILL);
                await IsReadableWithinAsync(_process.Fd, EndLimit);
            }
        }

        if (_process.ExitCode() is > 0 and int code && endsByItself)
        {
            LogFailed(_logger, _path, code);
        }

        _process.Dispose();
    }

    /// <summary>Program and arguments of an address: each name of the query, then its first value, decoded, as runc's shim passes them on.</summary>
    /// <exception cref="TtrpcException">It has no absolute path.</exception>
    internal static (string Path, IReadOnlyList<string> Arguments) Parse(string address)
    {
        string rest = address[Scheme.Length..].Split('#')[0];
        int mark = rest.IndexOf('?', StringComparison.Ordinal);
        string path = Uri.UnescapeDataString(mark < 0 ? rest : rest[..mark]);
        if (!path.StartsWith('/') || path.Contains('\0', StringComparison.Ordinal))
        {
            throw new TtrpcException(TtrpcCode.InvalidArgument, $"output '{address}': a logging program is named by its absolute path, binary:///PATH?NAME=VALUE");
        }

        var arguments = new List<string>();
        var seen = new HashSet<string>();
        foreach (string pair in (mark < 0 ? "" : rest[(mark + 1)..]).Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = pair.Split('=', 2);
            string name = Decode(words[0]);
            if (seen.Add(name))
            {
                arguments.Add(name);
                arguments.Add(words.Length > 1 ? Decode(words[1]) : "");
            }
        }

        return (path, arguments);

        static string Decode(string text) => Uri.UnescapeDataString(text.Replace('+', ' ')).Replace("\0", "", StringComparison.Ordinal);
    }

    private static DetachedProcess Start(string path, IReadOnlyList<string> arguments, string id, string space, int[] further)
    {
        using var nothing = new FileDescriptor(LinuxError.Check(Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0), "open /dev/null"));
        int standard = nothing.Value;
        try
        {
            int process = Children.Start(
                path, [path, .. arguments], [$"CONTAINER_ID={id}", $"CONTAINER_NAMESPACE={space}"], [standard, standard, standard, .. further]);
            // It is a child that nobody else waits for: there is a process of that number.
            return DetachedProcess.TryOpen(process) ?? throw new LinuxException($"watch the logging program {path}", LinuxError.Last);
        }
        catch (LinuxException e)
        {
            throw new TtrpcException(e.Errno == Errno.ENOENT ? TtrpcCode.NotFound : TtrpcCode.Unknown, $"logging program: {e.Message}");
        }
    }

    private async Task<bool> IsReadableWithinAsync(int fd, TimeSpan limit)
    {
        using var time = new CancellationTokenSource(limit);
        try
        {
            await _loop.WaitAsync(fd, forWriting: false, time.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "the logging program {Path} has not ended within {Seconds} s of SIGTERM and is killed")]
    private static partial void LogKilled(ILogger logger, string path, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the logging program {Path} has ended with code {Code}")]
    private static partial void LogFailed(ILogger logger, string path, int code);
}
