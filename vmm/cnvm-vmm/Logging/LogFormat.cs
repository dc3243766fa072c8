using System.Globalization;
using System.Text;
using Cnvm.CommandLine;
using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram.Logging;

/// <summary>The shape of a log line: text with the placeholders that <c>--log-format</c> takes.</summary>
internal sealed class LogFormat
{
    public const string Default = "cnvm-vmm: {boottime}s: <{thread}> {level}:{location} -- {msg}";

    private static readonly string[] Placeholders = ["boottime", "thread", "level", "location", "msg", "pid"];
    private readonly List<(string Literal, string Placeholder)> _parts = [];
    private readonly string _end;

    /// <exception cref="CommandLineException">It has a placeholder that does not exist.</exception>
    public LogFormat(string format)
    {
        int start = 0;
        int open;
        while ((open = format.IndexOf('{', start)) >= 0)
        {
            int close = format.IndexOf('}', open);
            string name = close < 0 ? "" : format[(open + 1)..close];
            if (!Placeholders.Contains(name))
            {
                throw new CommandLineException(
                    $"{Flags.LogFormat}: there is no placeholder {{{name}}}; it takes {{{string.Join("} {", Placeholders)}}}");
            }

            _parts.Add((format[start..open], name));
            start = close + 1;
        }

        _end = format[start..];
    }

    /// <summary>Builds a line with its end.</summary>
    /// <param name="sinceStart">Age of the process.</param>
    public string Line(TimeSpan sinceStart, LogLevel level, string location, string message, Exception? exception)
    {
        var line = new StringBuilder(128);
        foreach ((string literal, string placeholder) in _parts)
        {
            line.Append(literal);
            switch (placeholder)
            {
                case "boottime":
                    line.Append(CultureInfo.InvariantCulture, $"{sinceStart.TotalSeconds:F6}");
                    break;
                case "thread":
                    line.Append(Thread.CurrentThread.Name ?? "main");
                    break;
                case "level":
                    line.Append(NameOf(level));
                    break;
                case "location":
                    line.Append(location);
                    break;
                case "pid":
                    line.Append(CultureInfo.InvariantCulture, $"{Environment.ProcessId}");
                    break;
                default:
                    line.Append(message);
                    AppendExceptions(line, exception);
                    break;
            }
        }

        return line.Append(_end).Append('\n').ToString();
    }

    // Failures that somebody foresaw explain themselves; for all others the place is what matters.
    private static void AppendExceptions(StringBuilder line, Exception? exception)
    {
        string? said = null;
        for (Exception? e = exception; e is not null; e = e.InnerException)
        {
            if (e.Message != said)
            {
                line.Append(": ").Append(e.Message);
                said = e.Message;
            }
        }

        if (exception is not null and not Cnvm.Vmm.VmmException && exception.StackTrace is { } trace)
        {
            line.Append('\n').Append(exception.GetType()).Append('\n').Append(trace);
        }
    }

    private static string NameOf(LogLevel level) => level switch
    {
        LogLevel.Trace => "TRACE",
        LogLevel.Debug => "DEBUG",
        LogLevel.Information => "INFO",
        LogLevel.Warning => "WARN",
        _ => "ERROR",
    };
}
