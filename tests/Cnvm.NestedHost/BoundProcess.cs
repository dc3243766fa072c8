using System.Collections.Concurrent;
using System.Diagnostics;

namespace Cnvm.Nested;

/// <summary>Starts processes that the kernel kills when this process ends, whatever the reason.</summary>
/// <remarks>
/// PR_SET_PDEATHSIG fires when the <em>thread</em> that forked ends (prctl(2)), so all of them are started by one thread that lives
/// as long as the process does.
/// </remarks>
internal static class BoundProcess
{
    private static readonly BlockingCollection<(Process Process, TaskCompletionSource Done)> Requests = [];

    static BoundProcess()
    {
        var thread = new Thread(Run) { IsBackground = true, Name = "nested-host-starter" };
        thread.Start();
    }

    /// <summary>Starts a program. Redirected streams are those that the start information asks for.</summary>
    public static async Task<Process> StartAsync(ProcessStartInfo start)
    {
        // The program becomes an argument of setpriv (util-linux), which sets the signal and then executes it: same process id.
        var bound = new ProcessStartInfo("setpriv")
        {
            UseShellExecute = false,
            RedirectStandardInput = start.RedirectStandardInput,
            RedirectStandardOutput = start.RedirectStandardOutput,
            RedirectStandardError = start.RedirectStandardError,
        };
        bound.ArgumentList.Add("--pdeathsig");
        bound.ArgumentList.Add("KILL");
        bound.ArgumentList.Add(start.FileName);
        foreach (var argument in start.ArgumentList)
        {
            bound.ArgumentList.Add(argument);
        }

        var process = new Process { StartInfo = bound };
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Requests.Add((process, done));
        await done.Task.ConfigureAwait(false);
        return process;
    }

    private static void Run()
    {
        foreach (var (process, done) in Requests.GetConsumingEnumerable())
        {
            try
            {
                process.Start();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        }
    }
}
