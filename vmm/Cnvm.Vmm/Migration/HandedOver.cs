using Cnvm.Linux;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>What a source of the same host hands over itself rather than a copy.</summary>
/// <param name="Memory">The memory, which nobody but the source writes before the guest runs here.</param>
/// <param name="TapQueues">Queues of all network interfaces, in the order of the configuration. They stay the giver's.</param>
internal sealed record HandedOver(HandedMemory Memory, IReadOnlyList<FileDescriptor> TapQueues);
