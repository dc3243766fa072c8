using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>A directory in the nested host's memory for disk images; removed at the end.</summary>
internal sealed class ScratchDirectory(NestedHost host) : IAsyncDisposable
{
    private static int s_count;

    public string Path { get; } = $"/run/cnvm-scratch/{Interlocked.Increment(ref s_count)}";

    public async Task MakeFileAsync(string name, string size) =>
        (await host.RunAsync($"mkdir -p {Path} && truncate -s {size} {Path}/{name}")).OrThrow();

    /// <summary>KiB of memory that a file takes.</summary>
    public async Task<long> AllocatedKiBAsync(string name) =>
        long.Parse((await host.RunAsync($"stat -c %b {Path}/{name}")).OrThrow().Output) / 2;

    public async ValueTask DisposeAsync() => (await host.RunAsync($"rm -rf {Path}")).OrThrow();
}
