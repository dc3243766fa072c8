using System.Diagnostics;

namespace Cnvm.Nested;

/// <summary>A command that runs on a host. Disposing it kills the command and everything it started, and takes half a minute at most.</summary>
public abstract class HostProcess : IAsyncDisposable
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(10);
    private readonly Process _process;
    private readonly OutputLog _log;
    private long _seen;

    /// <param name="process">The command, or what connects to it; its three streams are redirected. Owned.</param>
    private protected HostProcess(Process process)
    {
        _process = process;
        _log = new OutputLog(null, process.StandardOutput.BaseStream, process.StandardError.BaseStream);
    }

    /// <summary>Output and error so far (the last 1 Mi characters).</summary>
    public string Output => _log.Text;

    /// <summary>True when the command has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>Null while the host lives; otherwise what happened to it.</summary>
    private protected abstract NestedHostException? HostFailure { get; }

    /// <summary>Types into the command's standard input.</summary>
    public async Task WriteAsync(string text, CancellationToken cancellation = default)
    {
        await _process.StandardInput.WriteAsync(text.AsMemory(), cancellation).ConfigureAwait(false);
        await _process.StandardInput.FlushAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Ends the command's standard input.</summary>
    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>Waits until a text appears in the output behind the last one that was waited for.</summary>
    /// <param name="unless">A text after which the other is not to come any more.</param>
    /// <exception cref="NestedHostException">The command ended before, or the other text came; the message has the output's tail.</exception>
    /// <exception cref="TimeoutException">It did not appear in time; the message has the output's tail.</exception>
    public async Task WaitForAsync(string text, TimeSpan timeout, string? unless = null, CancellationToken cancellation = default)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout);
        long position;
        try
        {
            position = await _log.WaitAsync(text, _seen, unless, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"'{text}' did not appear within {timeout.TotalSeconds:F0} s in\n{_log.Tail}");
        }

        if (position == OutputLog.Averted)
        {
            throw new NestedHostException($"'{unless}' appeared where '{text}' was expected in\n{_log.Tail}");
        }

        if (position < 0)
        {
            throw HostFailure ?? new NestedHostException($"the command ended before '{text}' appeared in\n{_log.Tail}");
        }

        _seen = position;
    }

    /// <summary>Waits for the end of the command and returns its exit code.</summary>
    /// <param name="timeout">How long.</param>
    /// <param name="unless">A text after which the end is not to come any more.</param>
    /// <param name="cancellation">Ends the wait, not the command.</param>
    /// <exception cref="NestedHostException">The other text came; the message has the output's tail.</exception>
    /// <exception cref="TimeoutException">It did not end in time; the message has the output's tail. It still runs.</exception>
    public async Task<int> WaitForExitAsync(TimeSpan timeout, string? unless = null, CancellationToken cancellation = default)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout);
        try
        {
            if (unless is not null && await _log.WaitAsync(unless, _seen, null, limit.Token).ConfigureAwait(false) >= 0)
            {
                throw new NestedHostException($"'{unless}' appeared where the end of the command was expected in\n{_log.Tail}");
            }

            await _log.Ended.WaitAsync(limit.Token).ConfigureAwait(false);
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"the command did not end within {timeout.TotalSeconds:F0} s\n{_log.Tail}");
        }

        return HostFailure is { } failure ? throw failure : _process.ExitCode;
    }

    /// <summary>Kills the command and everything it started.</summary>
    /// <exception cref="TimeoutException">The host did not do it in time.</exception>
    public async Task KillAsync()
    {
        if (HostFailure is null && !_process.HasExited)
        {
            await KillGroupAsync(EndLimit).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await KillAsync().ConfigureAwait(false);
        }
        finally
        {
            if (!_process.HasExited)
            {
                _process.Kill();
                await _process.WaitForExitAsync().ConfigureAwait(false);
            }

            await EndLogAsync().ConfigureAwait(false);
            _process.Dispose();
        }
    }

    /// <summary>Kills the process group of the command.</summary>
    private protected abstract Task KillGroupAsync(TimeSpan timeout);

    private async Task EndLogAsync()
    {
        // A multiplexed ssh hands its streams to the master, which keeps them as long as anything in the host holds the other end.
        if (await Task.WhenAny(_log.Ended, Task.Delay(EndLimit)).ConfigureAwait(false) == _log.Ended)
        {
            await _log.DisposeAsync().ConfigureAwait(false);
        }
    }
}
