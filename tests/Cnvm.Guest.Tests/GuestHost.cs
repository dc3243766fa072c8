using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>A machine on which VMMs run, and how they run there.</summary>
/// <param name="Commands">What runs commands on it.</param>
/// <param name="Hypervisor">Value of --hypervisor.</param>
/// <param name="RootDisk">A disk or file with the Debian root file system; what guests write there is thrown away at the end.</param>
/// <param name="Scratch">A directory in memory, for the tests of this process alone.</param>
/// <param name="IsRoot">Whether commands run as root.</param>
/// <param name="IsAlone">Whether nobody else works there, so that what is found on the machine is the tests' own.</param>
public sealed record GuestHost(ICommandHost Commands, string Hypervisor, string RootDisk, string Scratch, bool IsRoot, bool IsAlone)
{
    private static int s_names;

    /// <summary>
    /// Whether all guests pulse in short runs too, and not only those of boot tests: two round trips take seconds where processors are emulated.
    /// </summary>
    public bool PulsesEveryGuest => Hypervisor != "kvm";

    /// <summary>Why this host can serve no further test: something could not be ended or removed.</summary>
    public Exception? Defect { get; private set; }

    public Task<CommandResult> RunAsync(string command, TimeSpan? timeout = null) => Commands.RunAsync(command, timeout);

    public Task<HostProcess> StartAsync(string command) => Commands.StartAsync(command);

    /// <summary>A name that no other test has, here or in another process on the same machine.</summary>
    public static string UniqueName(string prefix) => $"{prefix}-{Environment.ProcessId}-{Interlocked.Increment(ref s_names)}";

    /// <summary>
    /// Runs something that cleans up behind a test. A failure there must not hide the test's own: it is kept, and the fixture acts on
    /// it before the next test.
    /// </summary>
    public async Task CleanUpAsync(Func<Task> action)
    {
        try
        {
            await action();
        }
        catch (Exception e) when (e is TimeoutException or NestedHostException)
        {
            Defect ??= e;
        }
    }
}
