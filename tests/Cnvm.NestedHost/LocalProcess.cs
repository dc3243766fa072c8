using System.Diagnostics;
using System.Globalization;

namespace Cnvm.Nested;

/// <summary>A command that runs on this machine, in a session of its own.</summary>
internal sealed class LocalProcess(Process process) : HostProcess(process)
{
    private readonly int _group = process.Id;

    private protected override NestedHostException? HostFailure => null;

    private protected override Task KillGroupAsync(TimeSpan timeout) => KillGroupAsync(_group, timeout);

    /// <summary>Kills a process group; one that has ended already is fine.</summary>
    internal static async Task KillGroupAsync(int group, TimeSpan timeout)
    {
        var start = new ProcessStartInfo("sh") { RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(string.Create(CultureInfo.InvariantCulture, $"kill -s KILL -- -{group}"));
        using var kill = await BoundProcess.StartAsync(start).ConfigureAwait(false);
        await kill.WaitForExitAsync().WaitAsync(timeout).ConfigureAwait(false);
    }
}
