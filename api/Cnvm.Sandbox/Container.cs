using Cnvm.Agent.Protocol;
using Cnvm.Sandbox.Agent;
using Cnvm.Sandbox.Containers;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Oci;
using Cnvm.Ttrpc;
using OciProcess = Cnvm.Agent.Protocol.Process;

namespace Cnvm.Sandbox;

/// <summary>A container in a sandbox. Any thread.</summary>
public sealed class Container
{
    private readonly AgentConnection _agent;
    private readonly ContainerPlace _place;
    private readonly ContainerDisks? _disks;
    private readonly OciProcess _first;
    private readonly string _rootfs;

    internal Container(AgentConnection agent, string id, ContainerPlace place, OciProcess first, string rootfs, ContainerDisks? disks = null)
    {
        _agent = agent;
        _place = place;
        _disks = disks;
        _first = first;
        _rootfs = rootfs;
        Id = id;
        Process = new SandboxProcess(agent, id, "", first.Terminal);
    }

    /// <summary>Its name in the sandbox.</summary>
    public string Id { get; }

    /// <summary>The first process, which runs once the container is started; with its end the container's other processes end.</summary>
    public SandboxProcess Process { get; }

    /// <summary>Lets the first process run.</summary>
    /// <exception cref="SandboxException">The program cannot be started, or the sandbox has ended.</exception>
    public Task StartAsync(CancellationToken cancellation = default) =>
        _agent.CallAsync<StartContainerRequest, Empty>(AgentService.StartContainer, new StartContainerRequest { ContainerId = Id }, cancellation);

    /// <summary>Starts a further process.</summary>
    /// <exception cref="SandboxException">The program cannot be started, or the container or the sandbox has ended.</exception>
    public Task<SandboxProcess> ExecAsync(ProcessOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        OciProcess process = SpecDefaults.FurtherProcess(_first, options, _rootfs);
        return ExecAsync($"exec-{Convert.ToHexStringLower(KernelRandom.Bytes(8))}", process, cancellation);
    }

    /// <summary>Starts a further process that the OCI runtime specification's <c>process</c> describes.</summary>
    /// <param name="id">Its name in the container.</param>
    /// <param name="processJson">The JSON object.</param>
    /// <param name="cancellation">Gives the call up.</param>
    /// <exception cref="SandboxException">It is none, the program cannot be started, or the container or the sandbox has ended.</exception>
    public Task<SandboxProcess> ExecAsync(string id, ReadOnlyMemory<byte> processJson, CancellationToken cancellation = default) =>
        ExecAsync(id, SpecReader.ReadProcess(processJson), cancellation);

    /// <summary>Sends a signal to the first process.</summary>
    /// <inheritdoc cref="SandboxProcess.SignalAsync"/>
    public Task SignalAsync(int signal, CancellationToken cancellation = default) => Process.SignalAsync(signal, cancellation);

    /// <summary>What the container uses.</summary>
    /// <exception cref="SandboxException">The container or the sandbox has ended.</exception>
    public Task<StatsContainerResponse> GetStatsAsync(CancellationToken cancellation = default) =>
        _agent.CallAsync<StatsContainerRequest, StatsContainerResponse>(AgentService.StatsContainer, new StatsContainerRequest { ContainerId = Id }, cancellation);

    /// <summary>Stops all processes of the container where they are.</summary>
    /// <exception cref="SandboxException">The guest cannot, or the container or the sandbox has ended.</exception>
    public Task PauseAsync(CancellationToken cancellation = default) =>
        _agent.CallAsync<PauseContainerRequest, Empty>(AgentService.PauseContainer, new PauseContainerRequest { ContainerId = Id }, cancellation);

    /// <summary>Lets the processes of a paused container go on.</summary>
    /// <inheritdoc cref="PauseAsync"/>
    public Task ResumeAsync(CancellationToken cancellation = default) =>
        _agent.CallAsync<ResumeContainerRequest, Empty>(AgentService.ResumeContainer, new ResumeContainerRequest { ContainerId = Id }, cancellation);

    /// <summary>Changes what the container may use.</summary>
    /// <param name="resourcesJson">The JSON object <c>linux.resources</c> of the OCI runtime specification; what is left out stays as it is.</param>
    /// <param name="cancellation">Gives the call up.</param>
    /// <exception cref="SandboxException">It is none, or the guest cannot.</exception>
    public Task UpdateAsync(ReadOnlyMemory<byte> resourcesJson, CancellationToken cancellation = default) =>
        _agent.CallAsync<UpdateContainerRequest, Empty>(
            AgentService.UpdateContainer, new UpdateContainerRequest { ContainerId = Id, Resources = SpecReader.ReadResources(resourcesJson) }, cancellation);

    /// <summary>Removes the container and what it had of the host. Its processes are killed if some are left.</summary>
    /// <exception cref="SandboxException">The guest cannot, or the sandbox has ended.</exception>
    public async Task RemoveAsync(CancellationToken cancellation = default)
    {
        await _agent.CallAsync<RemoveContainerRequest, Empty>(AgentService.RemoveContainer, new RemoveContainerRequest { ContainerId = Id }, cancellation).ConfigureAwait(false);
        try
        {
            _place.Remove();
        }
        finally
        {
            if (_disks is not null)
            {
                await _disks.RemoveAsync(cancellation).ConfigureAwait(false);
            }
        }
    }

    private async Task<SandboxProcess> ExecAsync(string id, OciProcess process, CancellationToken cancellation)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        await _agent.CallAsync<ExecProcessRequest, Empty>(
            AgentService.ExecProcess, new ExecProcessRequest { ContainerId = Id, ExecId = id, Process = process }, cancellation).ConfigureAwait(false);
        return new SandboxProcess(_agent, Id, id, process.Terminal);
    }
}
