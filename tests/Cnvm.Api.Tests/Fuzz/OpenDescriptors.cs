namespace Cnvm.Api.Tests.Fuzz;

/// <summary>
/// What this process has open, by kind. The runtime's own files do not count: it opens assemblies when it needs them.
/// </summary>
internal sealed class OpenDescriptors
{
    private readonly Dictionary<string, int> _counts;

    private OpenDescriptors(Dictionary<string, int> counts) => _counts = counts;

    public static OpenDescriptors Now() =>
        new(Directory.GetFiles("/proc/self/fd").Select(Kind).OfType<string>().GroupBy(k => k).ToDictionary(g => g.Key, g => g.Count()));

    /// <summary>
    /// Asserts that no more are open than were. The server closes its ends of connections when it sees them end, so this looks again for a
    /// while; so do tests that run at the same time, one of which may have some open at any one moment.
    /// </summary>
    public void ExpectNoMore()
    {
        string more = "";
        SpinWait.SpinUntil(() => (more = More()).Length == 0, TimeSpan.FromSeconds(10));
        Assert.Equal("", more);
    }

    private string More()
    {
        IEnumerable<string> more = Now()._counts.Where(n => n.Value > _counts.GetValueOrDefault(n.Key))
            .Select(n => $"{n.Key}: {n.Value}, before {_counts.GetValueOrDefault(n.Key)}");
        return string.Join("; ", more);
    }

    private static string? Kind(string link)
    {
        try
        {
            string? target = File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName;
            int bracket = target?.IndexOf(":[", StringComparison.Ordinal) ?? -1;
            string? kind = bracket >= 0 && char.IsDigit(target![bracket + 2]) ? target[..bracket] : target;
            return kind is null || kind.EndsWith(".dll", StringComparison.Ordinal) || kind.EndsWith(".so", StringComparison.Ordinal)
                || kind.StartsWith("/proc/", StringComparison.Ordinal) ? null : kind;
        }
        catch (IOException)
        {
            // Closed since the folder was read.
            return null;
        }
    }
}
