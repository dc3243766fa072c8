using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>A command that runs on another host.</summary>
/// <param name="input">Its input; owned.</param>
/// <param name="output">What it says; owned.</param>
internal sealed class SshCommand(DetachedProcess process, Stream input, StreamReader output) : IDisposable
{
    private const int PatienceMilliseconds = 10_000;

    /// <summary>The next line; null when it has ended.</summary>
    public string? ReadLine() => output.ReadLine();

    /// <summary>Ends its input and waits for its end, for a while.</summary>
    public void Dispose()
    {
        input.Dispose();
        if (Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], PatienceMilliseconds) > 0)
        {
            _ = process.ExitCode();
        }

        output.Dispose();
        process.Dispose();
    }
}
