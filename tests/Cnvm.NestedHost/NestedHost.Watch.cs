using System.Globalization;

namespace Cnvm.Nested;

public sealed partial class NestedHost
{
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan DiagnosisLimit = TimeSpan.FromSeconds(20);
    private readonly CancellationTokenSource _watchEnd = new();
    private Task _watch = Task.CompletedTask;

    /// <summary>
    /// How long a host may take to run `true` before it counts as frozen. Emulated processors that share two real ones with other work
    /// are slow, but not by minutes.
    /// </summary>
    private static TimeSpan AnswerLimit { get; } = TimeSpan.FromMinutes(2);

    /// <summary>Why the host was given up, when it froze; otherwise null.</summary>
    public string? Frozen { get; private set; }

    /// <summary>
    /// A host that freezes would cost every wait its whole limit. It is asked for a sign of life, and ended when it gives none: then all
    /// that waits fails at once, with what was found out about the frozen machine.
    /// </summary>
    private async Task WatchAsync(CancellationToken cancellation)
    {
        while (!_qemu.HasExited)
        {
            try
            {
                await Task.Delay(WatchInterval, cancellation).ConfigureAwait(false);
                await RunOnceAsync("true", AnswerLimit, null, cancellation, isKill: true).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (NestedHostException)
            {
                // It died, which everybody who waits for it sees too.
                return;
            }
            catch (TimeoutException)
            {
                // Known before the diagnosis, which may end QEMU: whoever sees it end then sees why.
                Frozen = $"the nested host gave no sign of life for {AnswerLimit.TotalSeconds:F0} s and was ended";
                Frozen += "\n" + await DiagnoseAsync().ConfigureAwait(false);
                KillQemu();
                return;
            }
        }
    }

    /// <summary>What QEMU's threads do, the emulated processors' registers, and the kernel's backtraces on an NMI (unknown_nmi_panic).</summary>
    private async Task<string> DiagnoseAsync()
    {
        var report = new StringWriter(CultureInfo.InvariantCulture);
        foreach (var thread in Directory.EnumerateDirectories($"/proc/{_qemu.Id}/task"))
        {
            // stat(5): state is the third field; 12 and 13 behind it are the processor time in user and kernel mode, in ticks.
            var stat = await ReadAsync(thread + "/stat").ConfigureAwait(false);
            var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var wait = await ReadAsync(thread + "/wchan").ConfigureAwait(false);
            report.WriteLine($"thread {stat[..(stat.LastIndexOf(')') + 1)]} {string.Join(' ', fields.Take(1).Concat(fields.Skip(11).Take(2)))} {wait}");
        }

        using var limit = new CancellationTokenSource(DiagnosisLimit);
        try
        {
            report.WriteLine(await _qmp.MonitorAsync("info registers -a", limit.Token).ConfigureAwait(false));
            await _qmp.MonitorAsync("nmi", limit.Token).ConfigureAwait(false);
            await _qemu.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            report.WriteLine($"QEMU: {e.Message}");
        }

        return report.ToString();

        static async Task<string> ReadAsync(string path)
        {
            try
            {
                return (await File.ReadAllTextAsync(path).ConfigureAwait(false)).TrimEnd();
            }
            catch (IOException e)
            {
                return e.Message;
            }
        }
    }
}
