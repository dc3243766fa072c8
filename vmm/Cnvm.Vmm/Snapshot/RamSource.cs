using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Guest RAM of a paused machine.</summary>
/// <param name="Plan">What is behind each region of <paramref name="Memory"/>, in the same order.</param>
internal sealed record RamSource(GuestMemory Memory, IReadOnlyList<RamPiece> Plan);
