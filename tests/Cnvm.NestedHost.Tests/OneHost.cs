namespace Cnvm.Nested.Tests;

/// <summary>One start for all tests of the class.</summary>
public sealed class OneHost : IAsyncLifetime
{
    private readonly string _disk = Path.GetTempFileName();

    public NestedHost Host { get; private set; } = null!;

    public string Shared { get; } = Directory.CreateTempSubdirectory("cnvm-shared-").FullName;

    public async Task InitializeAsync()
    {
        File.WriteAllBytes(_disk, [.. Enumerable.Range(0, 1 << 20).Select(i => (byte)(i * 7))]);
        Host = await NestedHost.StartAsync(new NestedHostOptions
        {
            SharedDirectory = Shared,
            Drives = [new NestedHostDrive(_disk)],
            ForwardedPorts = [7001],
        });
    }

    public async Task DisposeAsync()
    {
        await Host.DisposeAsync();
        Directory.Delete(Shared, recursive: true);
        File.Delete(_disk);
    }
}
