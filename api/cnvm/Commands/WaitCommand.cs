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

    private const int AnswerMilliseconds = 5000;

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
        CnvmClient? client = null;
        try
        {
            if (!TryConnectAgain(ref client, target))
            {
                // It ran a moment ago if it was found by its name.
                return wanted is null && target.Name is not null ? ExitCode.Success : throw Ended(target, wanted);
            }

            return Wait(ref client, target, wanted, timeout, started);
        }
        finally
        {
            client?.Dispose();
        }
    }

    private static int Wait(ref CnvmClient? client, VmTarget target, string? wanted, TimeSpan? timeout, long started)
    {
        while (true)
        {
            TimeSpan? left = timeout - Stopwatch.GetElapsedTime(started);
            if (left < TimeSpan.Zero)
            {
                string what = wanted is null ? "has not ended" : $"is not {wanted}";
                throw new CliException(ExitCode.TimedOut, $"{target.Display} {what} after {Units.Duration(timeout!.Value)}");
            }

            if (wanted is not null && IsInState(client!, wanted))
            {
                return ExitCode.Success;
            }

            int pause = wanted is null ? int.MaxValue : AskMilliseconds;
            pause = left is { } rest ? (int)Math.Min(pause, rest.TotalMilliseconds + 1) : wanted is null ? -1 : pause;
            if (HasSomething(client!, pause) && !TryConnectAgain(ref client, target))
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
    private static bool HasSomething(CnvmClient client, int milliseconds) =>
        Poll.Wait([new PollEntry { Fd = client.Fd, Events = PollEntry.In }], milliseconds) > 0;

    /// <summary>A server may close a connection and live on: then it answers on a new one.</summary>
    private static bool TryConnectAgain(ref CnvmClient? client, VmTarget target)
    {
        client?.Dispose();
        client = null;
        try
        {
            client = CnvmClient.Connect(target.Socket);
            client.TimeoutMilliseconds = AnswerMilliseconds;
            _ = client.Call("GET", "vmm.ping");
            client.TimeoutMilliseconds = -1;
            return true;
        }
        catch (LinuxException)
        {
            // Nobody serves the socket any more, or the server went while it was asked.
            return false;
        }
    }

    private static CliException Ended(VmTarget target, string? wanted) => new(
        ExitCode.Failure, wanted is null ? $"no VMM answers at {target.Socket}" : $"{target.Display} has ended and will not be {wanted}");
}
