namespace Cnvm.Nested;

/// <summary>A machine that runs bash commands for tests: a nested host, or this machine. Safe for several tasks at once.</summary>
public interface ICommandHost
{
    /// <summary>Runs a bash command and waits for its end. It starts in the repository's directory.</summary>
    /// <param name="command">A bash command line.</param>
    /// <param name="timeout">120 s if null. After that the command and all it started are killed.</param>
    /// <param name="input">Its standard input; empty if null.</param>
    /// <param name="cancellation">Kills the command too.</param>
    /// <exception cref="TimeoutException">The command took too long; the message has its output.</exception>
    Task<CommandResult> RunAsync(string command, TimeSpan? timeout = null, string? input = null, CancellationToken cancellation = default);

    /// <summary>Starts a bash command without a terminal; its output can be waited for while it runs.</summary>
    Task<HostProcess> StartAsync(string command);

    /// <summary>Copies a file of this machine to the host.</summary>
    Task CopyToAsync(string localPath, string path, CancellationToken cancellation = default);
}
