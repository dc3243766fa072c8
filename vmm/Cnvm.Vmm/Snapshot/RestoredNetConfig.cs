using System.Text.Json.Serialization;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The TAP queues of one interface of a restored VM.</summary>
/// <param name="NumFds">How many of the request's descriptors are its queues.</param>
/// <param name="Fds">The descriptors themselves, in this process; never in JSON.</param>
public sealed record RestoredNetConfig(
    [property: JsonRequired] string Id = "",
    [property: JsonRequired] int NumFds = 0,
    [property: JsonIgnore] IReadOnlyList<int>? Fds = null);
