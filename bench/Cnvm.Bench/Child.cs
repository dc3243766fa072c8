using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Cnvm.Bench;

/// <summary>
/// A program under measurement, with its standard output read here. It is killed by <see cref="Dispose"/>, when it has run longer than
/// it may, and with the harness. One thread.
/// </summary>
internal sealed class Child : IDisposable
{
    private const int LastWords = 2000;
    private readonly Process _process;
    private readonly Stream _output;
    private readonly StringBuilder _error = new();
    private readonly Timer _watchdog;
    private readonly byte[] _buffer = new byte[65536];
    private readonly StringBuilder _text = new();
    private readonly string _program;
    private readonly TimeSpan _limit;
    private volatile bool _overdue;
    private int _searched;

    private Child(string launcher, string program, IEnumerable<string> arguments, TimeSpan limit)
    {
        _program = Path.GetFileName(program);
        _limit = limit;
        _process = new Process
        {
            StartInfo = new ProcessStartInfo(launcher, [program, .. arguments])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            },
        };
        _process.ErrorDataReceived += (_, e) => CollectError(e.Data);
        _process.Start();
        _process.BeginErrorReadLine();
        _output = _process.StandardOutput.BaseStream;
        _watchdog = new Timer(_ => EndOverdue(), null, limit, Timeout.InfiniteTimeSpan);
    }

    public int Id => _process.Id;

    /// <summary>When the program was executed, on the clock of <see cref="Now"/>.</summary>
    public long Executed { get; private set; }

    /// <summary>Processor time that went before, in nanoseconds.</summary>
    public long ProcessorTimeBefore { get; private set; }

    /// <summary>The monotonic clock in nanoseconds.</summary>
    public static long Now => Stopwatch.GetTimestamp() * (1_000_000_000 / Stopwatch.Frequency);

    /// <summary>Processor time of the program so far, in nanoseconds.</summary>
    public long ProcessorTime => Libc.ProcessorTime(Id) - ProcessorTimeBefore;

    public bool HasExited => _process.HasExited;

    /// <summary>Starts a program and returns when it has been executed.</summary>
    /// <param name="launcher">The compiled launch.c.</param>
    /// <param name="limit">The program is killed after that.</param>
    public static Child Start(string launcher, string program, IEnumerable<string> arguments, TimeSpan limit)
    {
        var child = new Child(launcher, program, arguments, limit);
        try
        {
            string[] clocks = child.ReadLine().Split(' ');
            child.Executed = long.Parse(clocks[0], CultureInfo.InvariantCulture);
            child.ProcessorTimeBefore = long.Parse(clocks[1], CultureInfo.InvariantCulture);
            return child;
        }
        catch
        {
            child.Dispose();
            throw;
        }
    }

    /// <summary>Waits for a text in the output behind what was waited for before, and returns the time when it had come.</summary>
    public long WaitFor(string text)
    {
        int found;
        long now = Now;
        while ((found = IndexOf(text)) < 0)
        {
            int count = _output.Read(_buffer);
            now = Now;
            if (count == 0)
            {
                throw Ended($"did not print '{text}'");
            }

            _text.Append(Encoding.Latin1.GetString(_buffer, 0, count));
        }

        _searched = found + text.Length;
        return now;
    }

    /// <summary>Types into the program's standard input.</summary>
    public void Type(string text)
    {
        try
        {
            _process.StandardInput.Write(text);
            _process.StandardInput.Flush();
        }
        catch (IOException)
        {
            throw Ended("took no input");
        }
    }

    /// <summary>Waits for the program's end and returns what it wrote to standard error, cut after some lines.</summary>
    public string WaitForEnd()
    {
        // Also waits for the end of standard error, which is read on another thread.
        _process.WaitForExit();
        lock (_error)
        {
            return _error.ToString();
        }
    }

    /// <summary>The rest of the current line of output.</summary>
    public string ReadLine()
    {
        int start = _searched;
        WaitFor("\n");
        return _text.ToString(start, _searched - 1 - start).TrimEnd('\r');
    }

    /// <summary>The failure of a program that ended before it was done.</summary>
    public MeasurementException Ended(string what)
    {
        Kill();
        _process.WaitForExit();
        string output = _text.ToString();
        string error;
        lock (_error)
        {
            error = _error.ToString().Trim();
        }

        string how = _overdue ? $"within {_limit.TotalSeconds:F0} s" : $"before it ended with exit code {_process.ExitCode}";
        string tail = output.Length > LastWords ? output[^LastWords..] : output;
        return new MeasurementException($"{_program} {what} {how}\n{error}\n{tail}".TrimEnd());
    }

    public void Dispose()
    {
        _watchdog.Dispose();
        Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private int IndexOf(string text)
    {
        string all = _text.ToString(_searched, _text.Length - _searched);
        int at = all.IndexOf(text, StringComparison.Ordinal);
        return at < 0 ? -1 : _searched + at;
    }

    private void EndOverdue()
    {
        _overdue = true;
        Kill();
    }

    private void Kill()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended already, which is what was wanted.
            return;
        }
    }

    private void CollectError(string? line)
    {
        lock (_error)
        {
            if (line is not null && _error.Length < LastWords)
            {
                _error.Append(line).Append('\n');
            }
        }
    }
}
