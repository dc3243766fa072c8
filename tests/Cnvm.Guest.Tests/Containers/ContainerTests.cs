using Cnvm.Nested;
using Xunit.Abstractions;

namespace Cnvm.Guest.Tests.Containers;

/// <summary>What `ctr` asks of a runtime. One list for runc, which shows that the tests are right, and for cnvm's shim.</summary>
public abstract partial class ContainerTests(GuestHostFixture fixture, ITestOutputHelper output) : GuestTests(fixture)
{
    /// <summary>Path of the shim; null for runc. Skips the test when it is missing.</summary>
    protected abstract string? Runtime { get; }

    protected ITestOutputHelper Output { get; } = output;

    [GuestFact]
    public async Task A_container_prints_and_its_exit_code_passes_through()
    {
        await using Containerd containerd = await Containerd.StartAsync(Host, Runtime);

        CommandResult result = await containerd.RunContainerAsync("one", "echo out; echo err >&2; echo $FROM_IMAGE-$ADDED; pwd; exit 7", "--env ADDED=too");

        Assert.True(result.ExitCode == 7, $"{result}\n{await containerd.LogAsync()}");
        Assert.Equal("out\nyes-too\n/root\n", result.Output);
        Assert.Contains("err\n", result.Error, StringComparison.Ordinal);
        await containerd.AssertNothingIsLeftAsync();
    }
}
