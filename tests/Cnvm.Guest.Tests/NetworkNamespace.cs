using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>A network namespace of the host with nothing but its loopback; removed at the end.</summary>
internal sealed class NetworkNamespace : IAsyncDisposable
{
    private readonly GuestHost _host;

    private NetworkNamespace(GuestHost host, string name)
    {
        _host = host;
        Name = name;
    }

    public string Name { get; }

    public static async Task<NetworkNamespace> CreateAsync(GuestHost host)
    {
        Skip.If(!host.IsRoot, "network namespaces and TAP interfaces need root");
        string name = GuestHost.UniqueName("cnvm");
        (await host.RunAsync($"ip netns add {name} && ip -n {name} link set lo up")).OrThrow();
        return new NetworkNamespace(host, name);
    }

    /// <summary>Runs a command in there that must succeed.</summary>
    public async Task<CommandResult> RunAsync(string command) => (await TryRunAsync(command)).OrThrow();

    /// <summary>Runs a command in there that may fail.</summary>
    public Task<CommandResult> TryRunAsync(string command) =>
        _host.RunAsync($"ip netns exec {Name} bash -c {Shell.Quote(command)}", GuestVm.Patience);

    public async ValueTask DisposeAsync() =>
        await _host.CleanUpAsync(async () => (await _host.RunAsync($"ip netns delete {Name}")).OrThrow());
}
