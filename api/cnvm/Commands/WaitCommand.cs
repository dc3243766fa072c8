using System.Diagnostics;
using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm wait</c>.</summary>
internal static class WaitCommand
{
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

            if (wanted is null)
            {
                int patience = left is { } rest ? Milliseconds(rest) : -1;
                if (HasSomething(client!, patience) && !TryConnectAgain(ref client, target))
                {
                    return ExitCode.Success;
                }
            }
            else if (IsInStateOrWaits(ref client, target, wanted, left))
            {
                return ExitCode.Success;
            }
        }
    }

    /// <summary>Whether the VM is in the state; if not, something has happened since.</summary>
    private static bool IsInStateOrWaits(ref CnvmClient? client, VmTarget target, string wanted, TimeSpan? left)
    {
        try
        {
            // The number comes first: what happens behind it is not missed, however short the moment before the wait.
            ulong last = EventsCommand.AskLast(client!);
            if (VmSummary.AskState(client!) == wanted)
            {
                return true;
            }

            client!.TimeoutMilliseconds = left is { } rest ? Milliseconds(rest) : -1;
            EventsCommand.AskAfter(client, last);
            client.TimeoutMilliseconds = AnswerMilliseconds;
        }
        catch (LinuxException e)
        {
            // Time is up, or the VMM has ended.
            if (e.Errno != Errno.ETIMEDOUT && !TryConnectAgain(ref client, target))
            {
                throw Ended(target, wanted);
            }
        }

        return false;
    }

    private static int Milliseconds(TimeSpan left) => (int)Math.Min(int.MaxValue, left.TotalMilliseconds + 1);

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
