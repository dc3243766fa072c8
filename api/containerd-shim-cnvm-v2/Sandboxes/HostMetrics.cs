using Cnvm.Agent.Protocol;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Sandboxes;

/// <summary>The agent's figures as containerd and its clients expect them on this host: of one version of control groups or the other, as runc's shim says them.</summary>
internal sealed class HostMetrics(bool isUnified)
{
    public ProtoAny Of(StatsContainerResponse stats) => isUnified
        ? ProtoAny.Of("io.containerd.cgroups.v2.Metrics", GuestUnifiedMetrics.Of(stats))
        : ProtoAny.Of("io.containerd.cgroups.v1.Metrics", GuestMetrics.Of(stats));
}
