using System.Diagnostics;
using System.Globalization;
using System.Text;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.GuestAgent.Io;

/// <summary>Lines on the machine's console, which is this program's stderr; each is one write.</summary>
internal sealed class ConsoleLog : ILogger
{
    private const int Stderr = 2;
    private const int LongestLine = 4096;
    private readonly Lock _lock = new();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            Write(exception is null ? formatter(state, exception) : $"{formatter(state, exception)}: {exception.Message}");
        }
    }

    /// <summary>Writes a line; what a peer has named may be in it.</summary>
    public void Write(string text)
    {
        double seconds = Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
        var line = new StringBuilder(text.Length + 32).Append(CultureInfo.InvariantCulture, $"cnvm-agent: {seconds:F3}s: ");
        foreach (char c in text.Length > LongestLine ? text[..LongestLine] : text)
        {
            line.Append(char.IsControl(c) ? ' ' : c);
        }

        byte[] bytes = Encoding.UTF8.GetBytes(line.Append('\n').ToString());
        lock (_lock)
        {
            // A console that takes nothing costs lines, not containers.
            for (int done = 0; done < bytes.Length;)
            {
                int written = FileIo.Write(Stderr, bytes.AsSpan(done));
                if (written <= 0)
                {
                    return;
                }

                done += written;
            }
        }
    }
}
