using Cnvm.Agent.Protocol;
using Cnvm.GuestAgent.Containers;
using Cnvm.GuestAgent.Io;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Service;

/// <summary>Everything that can be asked of the agent.</summary>
internal sealed class AgentServices
{
    private readonly SandboxCalls _sandbox;

    public AgentServices(Sandbox sandbox, ConsoleLog log)
    {
        _sandbox = new SandboxCalls(sandbox, log);
        var agent = new TtrpcService(AgentService.Name);
        _sandbox.AddTo(agent);
        new ContainerCalls(sandbox).AddTo(agent);
        new ProcessCalls(sandbox).AddTo(agent);
        new NetworkCalls().AddTo(agent);
        var health = new TtrpcService(HealthService.Name)
            .Add<CheckRequest, HealthCheckResponse>(
                HealthService.Check, (_, _) => Task.FromResult(new HealthCheckResponse { Status = ServingStatus.Serving }))
            .Add<CheckRequest, VersionCheckResponse>(
                HealthService.Version,
                (_, _) => Task.FromResult(new VersionCheckResponse { GrpcVersion = HealthService.ProtocolVersion, AgentVersion = BuildVersion.Number }));
        All = [agent, health];
    }

    public IReadOnlyList<TtrpcService> All { get; }

    /// <summary>The sandbox has been ended on request.</summary>
    public Task Destroyed => _sandbox.Destroyed;
}
