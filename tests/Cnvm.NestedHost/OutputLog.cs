using System.Text;

namespace Cnvm.Nested;

/// <summary>
/// Collects what one or more streams deliver: the last 1 Mi characters in memory, everything in a file if one is given. A task can
/// wait for text to appear.
/// </summary>
internal sealed class OutputLog : IAsyncDisposable
{
    /// <summary>What was waited for is not to come any more.</summary>
    public const long Averted = -2;

    private const int Kept = 1024 * 1024;
    private readonly StringBuilder _text = new();
    private readonly FileStream? _file;
    private readonly Lock _lock = new();
    private readonly List<TaskCompletionSource> _waiters = [];
    private long _dropped;
    private bool _ended;

    public OutputLog(string? path, params Stream[] sources)
    {
        _file = path is null ? null : new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        Ended = Task.Run(() => PumpAllAsync(sources));
    }

    /// <summary>Completes when every stream has ended.</summary>
    public Task Ended { get; }

    /// <summary>Everything that is still in memory.</summary>
    public string Text
    {
        get
        {
            lock (_lock)
            {
                return _text.ToString();
            }
        }
    }

    /// <summary>The last lines, indented, for messages; after a kernel panic the lines around it.</summary>
    public string Tail
    {
        get
        {
            const int Lines = 30;
            // QEMU lists every feature of the processor model that TCG lacks.
            var lines = Text.TrimEnd().Split('\n').Where(line => !line.Contains("TCG doesn't support", StringComparison.Ordinal)).ToList();
            var panic = lines.FindIndex(line => line.Contains("Kernel panic", StringComparison.Ordinal));
            var first = Math.Max(0, panic >= 0 ? panic - 15 : lines.Count - Lines);
            return string.Join('\n', lines.Skip(first).Take(Lines).Select(line => "  | " + line.TrimEnd('\r')));
        }
    }

    /// <summary>
    /// Waits until the text appears at or behind a position, which counts characters from the start of the output. Returns the position
    /// behind it, -1 when the streams ended before, or <see cref="Averted"/>.
    /// </summary>
    /// <param name="unless">A text that ends the wait when it appears before.</param>
    public async Task<long> WaitAsync(string text, long position, string? unless, CancellationToken cancellation)
    {
        while (true)
        {
            TaskCompletionSource more;
            lock (_lock)
            {
                var start = (int)Math.Clamp(position - _dropped, 0, _text.Length);
                var behind = _text.ToString(start, _text.Length - start);
                var found = behind.IndexOf(text, StringComparison.Ordinal);
                var other = unless is null ? -1 : behind.IndexOf(unless, StringComparison.Ordinal);
                if (other >= 0 && (found < 0 || other < found))
                {
                    return Averted;
                }

                if (found >= 0)
                {
                    return _dropped + start + found + text.Length;
                }

                if (_ended)
                {
                    return -1;
                }

                more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiters.Add(more);
            }

            await more.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Ended.ConfigureAwait(false);
        if (_file is not null)
        {
            await _file.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task PumpAllAsync(Stream[] sources)
    {
        try
        {
            await Task.WhenAll(sources.Select(PumpAsync)).ConfigureAwait(false);
        }
        finally
        {
            lock (_lock)
            {
                _ended = true;
                WakeWaiters();
            }
        }
    }

    private async Task PumpAsync(Stream source)
    {
        var buffer = new byte[16384];
        var characters = new char[buffer.Length];
        var decoder = Encoding.UTF8.GetDecoder();
        int count;
        while ((count = await source.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            var decoded = decoder.GetChars(buffer.AsSpan(0, count), characters, flush: false);
            lock (_lock)
            {
                _file?.Write(buffer, 0, count);
                _text.Append(characters, 0, decoded);
                var excess = _text.Length - Kept;
                if (excess > 0)
                {
                    _text.Remove(0, excess);
                    _dropped += excess;
                }

                WakeWaiters();
            }
        }
    }

    private void WakeWaiters()
    {
        _waiters.ForEach(waiter => waiter.TrySetResult());
        _waiters.Clear();
    }
}
