using System.Diagnostics;
using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm wait</c>.</summary>
internal static class WaitCommand
{
    /// <summary>How often the state is asked for; the API tells of no changes by itself. The VMM's end is seen at once.</summary>
    private const int AskMilliseconds = 100;

    private static readonly string[] States = ["created", "running", "paused", "shutdown"];

    public static int Run(Invocation invocation)
    {
        string? wanted = invocation.Value("--state");
        if (wanted is not null && !States.Contains(wanted))
        {
            throw CliException.Usage($"--state: '{wanted}' is not one of {string.Join(", ", States)}");
        }

        TimeSpan? timeout = invocation.Duration("--timeout");
        long started = Stopwatch.GetTimestamp();
        VmTarget target = VmTarget.Find(invocation);
        using CnvmClient client = target.Connect();
        while (true)
        {
            TimeSpan? left = timeout - Stopwatch.GetElapsedTime(started);
            if (left < TimeSpan.Zero)
            {
                string what = wanted is null ? "has not ended" : $"is not {wanted}";
                throw new CliException(ExitCode.TimedOut, $"{target.Display} {what} after {Units.Duration(timeout!.Value)}");
            }

            if (wanted is not null && IsInState(client, wanted))
            {
                return ExitCode.Success;
            }

            int pause = wanted is null ? int.MaxValue : AskMilliseconds;
            pause = left is { } rest ? (int)Math.Min(pause, rest.TotalMilliseconds + 1) : wanted is null ? -1 : pause;
            if (HasEnded(client, pause))
            {
                return wanted is null ? ExitCode.Success : throw Ended(target, wanted);
            }
        }
    }

    private static bool IsInState(CnvmClient client, string wanted)
    {
        try
        {
            return VmSummary.AskState(client) == wanted;
        }
        catch (LinuxException)
        {
            // The VMM went while it was asked: the wait that follows sees its end.
            return false;
        }
    }

    /// <summary>Between answers the VMM sends nothing: whatever comes is the connection's end.</summary>
    private static bool HasEnded(CnvmClient client, int milliseconds) =>
        Poll.Wait([new PollEntry { Fd = client.Fd, Events = PollEntry.In }], milliseconds) > 0;

    private static CliException Ended(VmTarget target, string wanted) =>
        new(ExitCode.Failure, $"{target.Display} has ended and will not be {wanted}");
}
