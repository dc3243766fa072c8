namespace Cnvm.Api.Tests.Fuzz;

/// <summary>Counts the descriptors of this process.</summary>
internal static class OpenDescriptors
{
    public static int Count => Directory.GetFiles("/proc/self/fd").Length;

    /// <summary>
    /// Asserts that no more are open than <paramref name="before"/>. The server closes its ends of connections when it sees them end, so
    /// this looks again for a while.
    /// </summary>
    public static void ExpectAtMost(int before)
    {
        SpinWait.SpinUntil(() => Count <= before, TimeSpan.FromSeconds(10));
        Assert.True(Count <= before, $"{Count} descriptors are open, {before} were: {string.Join(' ', Directory.GetFiles("/proc/self/fd").Select(Target))}");
    }

    private static string? Target(string link)
    {
        try
        {
            return File.ResolveLinkTarget(link, returnFinalTarget: false)?.Name;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
