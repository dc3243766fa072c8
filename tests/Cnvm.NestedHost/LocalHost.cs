using System.Diagnostics;

namespace Cnvm.Nested;

/// <summary>
/// This machine, with the same calls as a nested host. Every command is a session of its own, so that all it started can be ended,
/// and it is killed when this process ends.
/// </summary>
public sealed class LocalHost : ICommandHost
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(120);

    /// <inheritdoc/>
    public async Task<CommandResult> RunAsync(
        string command, TimeSpan? timeout = null, string? input = null, CancellationToken cancellation = default)
    {
        using var bash = await BoundProcess.StartAsync(Session(command)).ConfigureAwait(false);
        var output = new OutputLog(null, bash.StandardOutput.BaseStream);
        var error = new OutputLog(null, bash.StandardError.BaseStream);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(timeout ?? DefaultTimeout);
        try
        {
            await FeedAsync(bash, input, limit.Token).ConfigureAwait(false);
            await Task.WhenAll(output.Ended, error.Ended).WaitAsync(limit.Token).ConfigureAwait(false);
            await bash.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await LocalProcess.KillGroupAsync(bash.Id, DefaultTimeout).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
            throw new TimeoutException(
                $"'{command}' took more than {(timeout ?? DefaultTimeout).TotalSeconds:F0} s\n{output.Tail}\n{error.Tail}");
        }

        return new CommandResult(bash.ExitCode, output.Text, error.Text);
    }

    /// <inheritdoc/>
    public async Task<HostProcess> StartAsync(string command) =>
        new LocalProcess(await BoundProcess.StartAsync(Session(command)).ConfigureAwait(false));

    /// <inheritdoc/>
    public async Task CopyToAsync(string localPath, string path, CancellationToken cancellation = default)
    {
        await using var source = File.OpenRead(localPath);
        await using var target = File.Create(path);
        await source.CopyToAsync(target, cancellation).ConfigureAwait(false);
    }

    private static ProcessStartInfo Session(string command)
    {
        // A new child leads no group, so setsid(1) does not fork: process id, session and group are one number.
        var start = new ProcessStartInfo("setsid")
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Array.ForEach(["/bin/bash", "-c", command], start.ArgumentList.Add);
        return start;
    }

    private static async Task FeedAsync(Process process, string? input, CancellationToken cancellation)
    {
        try
        {
            await process.StandardInput.WriteAsync(input.AsMemory(), cancellation).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The command ended without reading all of its input, as it may.
            return;
        }
    }
}
