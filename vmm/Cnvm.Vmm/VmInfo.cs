using Cnvm.Vmm.Config;

namespace Cnvm.Vmm;

/// <summary>The answer to <c>vm.info</c>.</summary>
/// <param name="MemoryActualSize">Bytes of RAM that the guest has now.</param>
/// <param name="DeviceTree">Devices by id, of a booted machine; null otherwise.</param>
public sealed record VmInfo(
    VmConfig Config, VmState State, ulong MemoryActualSize, IReadOnlyDictionary<string, DeviceNode>? DeviceTree = null);
