using Cnvm.Vmm.Config;

namespace Cnvm.Vmm;

/// <summary>The answer to <c>vm.info</c>.</summary>
/// <param name="MemoryActualSize">Bytes of RAM that the guest has now, without what it gave up to the balloon.</param>
public sealed record VmInfo(VmConfig Config, VmState State, ulong MemoryActualSize);
