using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Config;

/// <summary>The host CPUs that the thread of one virtqueue may run on.</summary>
public sealed record VirtQueueAffinity(
    [property: JsonRequired] ushort QueueIndex = 0,
    IReadOnlyList<uint>? HostCpus = null)
{
    [JsonRequired]
    public IReadOnlyList<uint> HostCpus { get; init; } = HostCpus ?? [];
}
