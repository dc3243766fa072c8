namespace Cnvm.Guest.Tests;

/// <summary>
/// Tests that boot guests. A concrete class for each kind of host, in that host's collection, makes one list of tests run on all.
/// </summary>
public abstract class GuestTests(GuestHostFixture fixture) : IAsyncLifetime
{
    private GuestHost? _host;

    /// <summary>The host, from the start of the test on.</summary>
    protected GuestHost Host => _host ?? throw new InvalidOperationException("the test has not begun");

    public async Task InitializeAsync() => _host = await fixture.HostAsync();

    public Task DisposeAsync() => Task.CompletedTask;
}
