using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>A directory in the host's memory for disk images; removed at the end.</summary>
internal sealed class ScratchDirectory(GuestHost host) : IAsyncDisposable
{
    public string Path { get; } = $"{host.Scratch}/{GuestHost.UniqueName("scratch")}";

    public async Task MakeFileAsync(string name, string size) =>
        (await host.RunAsync($"mkdir -p {Path} && truncate -s {size} {Path}/{name}")).OrThrow();

    /// <summary>KiB of memory that a file takes.</summary>
    public async Task<long> AllocatedKiBAsync(string name) =>
        long.Parse((await host.RunAsync($"stat -c %b {Path}/{name}")).OrThrow().Output) / 2;

    public async ValueTask DisposeAsync() =>
        await host.CleanUpAsync(async () => (await host.RunAsync($"rm -rf {Path}")).OrThrow());
}
