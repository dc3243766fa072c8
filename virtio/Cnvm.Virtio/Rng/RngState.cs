namespace Cnvm.Virtio.Rng;

/// <summary>An entropy device remembers nothing.</summary>
public sealed record RngState : VirtioDeviceState;
