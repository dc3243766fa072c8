using System.Diagnostics;

namespace Cnvm.Nested;

/// <summary>A command that runs in a nested host.</summary>
public sealed class NestedProcess : HostProcess
{
    private readonly NestedHost _host;
    private readonly string _name;

    internal NestedProcess(NestedHost host, string name, Process ssh)
        : base(ssh)
    {
        _host = host;
        _name = name;
    }

    private protected override NestedHostException? HostFailure => _host.IsAlive ? null : _host.Died();

    private protected override Task KillGroupAsync(TimeSpan timeout) => _host.KillCommandAsync(_name, timeout);
}
