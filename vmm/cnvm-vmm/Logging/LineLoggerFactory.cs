using System.Diagnostics;
using System.Text;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram.Logging;

/// <summary>
/// Writes log lines to stderr or a file, each with one write so that lines of several threads do not mix. The framework's own factory
/// would bring dependency injection, options and filters along.
/// </summary>
internal sealed class LineLoggerFactory : ILoggerFactory
{
    private const int Stderr = 2;
    private readonly LogLevel _minimum;
    private readonly LogFormat _format;
    private readonly long _started;
    private readonly FileStream? _file;
    private readonly Lock _lock = new();

    /// <param name="path">File that lines are appended to; null is stderr.</param>
    /// <param name="started">Timestamp of the process's start (<see cref="Stopwatch.GetTimestamp"/>).</param>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public LineLoggerFactory(LogLevel minimum, LogFormat format, string? path, long started)
    {
        _minimum = minimum;
        _format = format;
        _started = started;
        _file = path is null ? null : new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    }

    public ILogger CreateLogger(string categoryName) => new LineLogger(this, categoryName);

    public void AddProvider(ILoggerProvider provider) =>
        throw new NotSupportedException("this factory writes lines itself and takes no providers");

    public void Dispose() => _file?.Dispose();

    internal bool IsEnabled(LogLevel level) => level >= _minimum && level != LogLevel.None;

    internal void Write(LogLevel level, string location, string message, Exception? exception)
    {
        byte[] line = Encoding.UTF8.GetBytes(_format.Line(Stopwatch.GetElapsedTime(_started), level, location, message, exception));
        lock (_lock)
        {
            if (_file is not null)
            {
                WriteFile(line);
            }
            else
            {
                WriteStderr(line);
            }
        }
    }

    // A full disk costs log lines, not the virtual machine.
    private void WriteFile(byte[] line)
    {
        try
        {
            _file!.Write(line);
        }
        catch (IOException)
        {
            WriteStderr(line);
        }
    }

    private static void WriteStderr(ReadOnlySpan<byte> line)
    {
        while (line.Length > 0)
        {
            int written = FileIo.Write(Stderr, line);
            if (written <= 0)
            {
                // Nobody reads stderr any more: there is no other place to say so.
                return;
            }

            line = line[written..];
        }
    }
}
