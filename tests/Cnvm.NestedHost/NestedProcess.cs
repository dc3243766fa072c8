using System.Diagnostics;

namespace Cnvm.Nested;

/// <summary>A command that runs in a nested host. Disposing it kills the command and everything it started.</summary>
public sealed class NestedProcess : IAsyncDisposable
{
    private readonly NestedHost _host;
    private readonly string _name;
    private readonly Process _ssh;
    private readonly OutputLog _log;
    private long _seen;

    internal NestedProcess(NestedHost host, string name, Process ssh)
    {
        _host = host;
        _name = name;
        _ssh = ssh;
        _log = new OutputLog(null, ssh.StandardOutput.BaseStream, ssh.StandardError.BaseStream);
    }

    /// <summary>Output and error so far (the last 1 Mi characters).</summary>
    public string Output => _log.Text;

    /// <summary>True when the command has ended.</summary>
    public bool HasExited => _ssh.HasExited;

    /// <summary>Types into the command's standard input.</summary>
    public async Task WriteAsync(string text, CancellationToken cancellation = default)
    {
        await _ssh.StandardInput.WriteAsync(text.AsMemory(), cancellation).ConfigureAwait(false);
        await _ssh.StandardInput.FlushAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Ends the command's standard input.</summary>
    public void CloseInput() => _ssh.StandardInput.Close();

    /// <summary>Waits until a text appears in the output behind the last one that was waited for.</summary>
    /// <exception cref="NestedHostException">The command ended before; the message has the output's tail.</exception>
    /// <exception cref="TimeoutException">It did not appear in time; the message has the output's tail.</exception>
    public async Task WaitForAsync(string text, TimeSpan timeout, CancellationToken cancellation = default)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout);
        long position;
        try
        {
            position = await _log.WaitAsync(text, _seen, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"'{text}' did not appear within {timeout.TotalSeconds:F0} s in\n{_log.Tail}");
        }

        if (position < 0)
        {
            throw _host.IsAlive ? new NestedHostException($"the command ended before '{text}' appeared in\n{_log.Tail}") : _host.Died();
        }

        _seen = position;
    }

    /// <summary>Waits for the end of the command and returns its exit code.</summary>
    /// <exception cref="TimeoutException">It did not end in time; the message has the output's tail. It still runs.</exception>
    public async Task<int> WaitForExitAsync(TimeSpan timeout, CancellationToken cancellation = default)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout);
        try
        {
            await _log.Ended.WaitAsync(limit.Token).ConfigureAwait(false);
            await _ssh.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"the command did not end within {timeout.TotalSeconds:F0} s\n{_log.Tail}");
        }

        return _ssh.ExitCode == 255 && !_host.IsAlive ? throw _host.Died() : _ssh.ExitCode;
    }

    /// <summary>Kills the command and everything it started.</summary>
    public async Task KillAsync()
    {
        if (_host.IsAlive && !_ssh.HasExited)
        {
            await _host.KillCommandAsync(_name).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await KillAsync().ConfigureAwait(false);
        if (!_ssh.HasExited)
        {
            _ssh.Kill();
            await _ssh.WaitForExitAsync().ConfigureAwait(false);
        }

        await _log.DisposeAsync().ConfigureAwait(false);
        _ssh.Dispose();
    }
}
